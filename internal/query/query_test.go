package query_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/nodebus/nodebus/internal/query"
	"github.com/stretchr/testify/require"
)

func TestWatch(t *testing.T) {
	long := strings.Repeat("x", 512)
	for name, c := range map[string]struct {
		asked []string
		want  []string
		text  string
	}{
		"none":        {nil, nil, ""},
		"empty":       {[]string{""}, nil, ""},
		"repeated":    {[]string{"b", "a", "", "b", "a"}, []string{"a", "b"}, ""},
		"256 times":   {slices.Repeat([]string{"p"}, 256), []string{"p"}, ""},
		"257 times":   {slices.Repeat([]string{"p"}, 257), nil, "names 257 prompts in watch, at most 256"},
		"512 bytes":   {[]string{long}, []string{long}, ""},
		"513 bytes":   {[]string{"p", long + "x"}, nil, "watch has 513 bytes, at most 512"},
		"empty times": {slices.Repeat([]string{""}, 9990), nil, "names 9990 prompts"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := query.Watch(url.Values{"watch": c.asked, "other": {"p"}})
			if c.text != "" {
				require.ErrorContains(t, err, c.text)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestClientID(t *testing.T) {
	id, err := query.ClientID(url.Values{"clientId": {"me", "you"}})
	require.NoError(t, err)
	require.Equal(t, "me", id)
	id, err = query.ClientID(nil)
	require.NoError(t, err)
	require.Empty(t, id)
	_, err = query.ClientID(url.Values{"clientId": {strings.Repeat("x", 513)}})
	require.ErrorContains(t, err, "clientId has 513 bytes, at most 512")
}

func FuzzWatch(f *testing.F) {
	f.Add("watch=a&watch=b&watch=a&clientId=me")
	f.Add("watch=" + strings.Repeat("%00", 513))
	f.Add(strings.Repeat("watch&", 257))
	f.Fuzz(func(t *testing.T, raw string) {
		q, _ := url.ParseQuery(raw)
		ids, err := query.Watch(q)
		if err != nil {
			require.Empty(t, ids)
			require.True(t, len(q["watch"]) > 256 || slices.ContainsFunc(q["watch"], func(id string) bool { return len(id) > 512 }))
			return
		}
		require.LessOrEqual(t, len(ids), 256)
		require.True(t, slices.IsSorted(ids))
		require.Equal(t, ids, slices.Compact(slices.Clone(ids)))
		for _, id := range q["watch"] {
			require.Equal(t, id != "", slices.Contains(ids, id))
		}
	})
}
