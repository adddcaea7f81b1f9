package nodebus_test

import (
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

func TestParseCursor(t *testing.T) {
	longest := strings.Repeat("z", 43)
	for _, c := range []struct {
		text string
		want nodebus.Cursor
		says string // part of the error; empty if the text is a cursor
	}{
		{"", nodebus.Cursor{}, ""},
		{"k3Zq-7", nodebus.Cursor{Epoch: "k3Zq", ID: 7}, ""},
		{"k3Zq-0", nodebus.Cursor{Epoch: "k3Zq"}, ""},
		{"k3Zq-007", nodebus.Cursor{Epoch: "k3Zq", ID: 7}, ""},
		{longest + "-18446744073709551615", nodebus.Cursor{Epoch: longest, ID: 1<<64 - 1}, ""},
		{"0", nodebus.Cursor{Epoch: "0"}, ""}, // a number alone is of another life
		{"1767225600000123", nodebus.Cursor{Epoch: "0", ID: 1767225600000123}, ""},

		{"-", nodebus.Cursor{}, `"-" is not a cursor; send the cursor of the last event, or an empty text`},
		{"-7", nodebus.Cursor{}, `"-7"`},
		{"k3Zq-", nodebus.Cursor{}, `"k3Zq-"`},
		{"k3Zq", nodebus.Cursor{}, `"k3Zq"`},
		{"k3Zq-x", nodebus.Cursor{}, `"k3Zq-x"`},
		{"k3Zq--7", nodebus.Cursor{}, `"k3Zq--7"`},
		{"k3Zq-+7", nodebus.Cursor{}, `"k3Zq-+7"`},
		{"k3-Zq-7", nodebus.Cursor{}, `"k3-Zq-7"`},
		{"k3 Zq-7", nodebus.Cursor{}, `"k3 Zq-7"`},
		{" k3Zq-7", nodebus.Cursor{}, `" k3Zq-7"`},
		{"k3Zq-7\n", nodebus.Cursor{}, `"k3Zq-7\n"`},
		{"é-7", nodebus.Cursor{}, `"é-7"`},
		{"k3Zq-18446744073709551616", nodebus.Cursor{}, "18446744073709551616"},
		{"k3Zq-" + strings.Repeat("0", 20) + "7", nodebus.Cursor{}, "not a cursor"},
		{longest + "z-7", nodebus.Cursor{}, "not a cursor"},
	} {
		got, err := nodebus.ParseCursor(c.text)
		require.Equal(t, c.want, got, c.text)
		if c.says == "" {
			require.NoError(t, err, c.text)
			continue
		}
		require.ErrorContains(t, err, "nodebus: ")
		require.ErrorContains(t, err, c.says)
	}
	_, err := nodebus.ParseCursor(strings.Repeat("x", 1<<20))
	require.Less(t, len(err.Error()), 256, "a client may send a long text")
}

func TestCursorText(t *testing.T) {
	require.Equal(t, "k3Zq-7", nodebus.Cursor{Epoch: "k3Zq", ID: 7}.String())
	require.Empty(t, nodebus.Cursor{}.String())
	require.Empty(t, nodebus.Cursor{ID: 7}.String(), "without an epoch it is no place")
	ev := nodebus.Event{ID: 7, Epoch: "e"}
	require.Equal(t, "e-7", ev.Cursor().String())
	require.Equal(t, ev.Cursor(), nodebus.Frame{ID: 7, Epoch: "e"}.Cursor())
}

// FuzzParseCursor checks that each text is a cursor or an error, and that the text of a
// cursor is read as the same cursor.
func FuzzParseCursor(f *testing.F) {
	for _, text := range []string{"", "0", "7", "e-7", "e-007", "e--7", "-", "e-18446744073709551615", "e-18446744073709551616", "\xff-7"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := nodebus.ParseCursor(text)
		if err != nil {
			require.Zero(t, c)
			return
		}
		again, err := nodebus.ParseCursor(c.String())
		require.NoError(t, err)
		require.Equal(t, c, again)
		require.Equal(t, c.String(), again.String())
	})
}
