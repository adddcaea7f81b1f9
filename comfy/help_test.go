package comfy_test

import (
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestHelp: help is where the front end looks for it. A file of the host comes before it, and
// what is missing is 404 without HTML.
func TestHelp(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	h := newHost(t, &comfy.Options{
		Frontend: fstest.MapFS{
			"index.html":                        file("page"),
			"docs/Core/de.md":                   file("file de"),
			"docs/picture.png":                  file("picture"),
			"extensions/front/docs/Front/de.md": file("file de"),
		},
		Extensions: map[string]fs.FS{
			"pack":  fstest.MapFS{"docs/Packed/de.md": file("file de"), "docs/Filed.md": file("file"), "docs/a.png": file("picture")},
			"empty": nil,
		},
	})
	add := func(name, module, help string) {
		flow.Register(h.reg, bare{}, nodebus.Info{Name: name, Module: module, Help: help})
	}
	add("Core", "", "# Core")
	add("My/Node v1.5", "comfy_extras.some", "slashes")
	add("Größe", "", "umlauts")
	add("Seed //Inspire", "", "two slashes")
	add("Silent", "", "")
	add("Odd", "elsewhere.pack", "odd")
	add("Packed", "custom_nodes.pack", "packed")
	add("Packed/en", "custom_nodes.pack.nodes", "deep")
	add("Filed", "custom_nodes.pack@1.2", "filed")
	add("Versioned", "custom_nodes.pack@1.2", "versioned")
	add("Alone", "custom_nodes.alone", "alone")
	add("Nothing", "custom_nodes.empty", "nothing")
	add("Front", "custom_nodes.front", "front")
	add("NoPack", "custom_nodes", "no pack")

	const markdown, text = "text/markdown; charset=utf-8", "text/plain; charset=utf-8"
	for path, want := range map[string]struct{ typ, body string }{
		"/docs/Core/en.md":                {markdown, "# Core"},
		"/docs/Core/pt-BR.md":             {markdown, "# Core"},
		"/docs/Core/de.md":                {text, "file de"},
		"/docs/picture.png":               {"image/png", "picture"},
		"/docs/My/Node%20v1.5/en.md":      {markdown, "slashes"},
		"/docs/My%2FNode%20v1.5/en.md":    {markdown, "slashes"},
		"/docs/Gr%C3%B6%C3%9Fe/en.md":     {markdown, "umlauts"},
		"/docs/Seed%20//Inspire/en.md":    {markdown, "two slashes"},
		"/docs/Seed%20%2F%2FInspire/x.md": {markdown, "two slashes"},
		"/docs/Seed%20//Unknown/en.md":    {},
		"/docs/Odd/en.md":                 {markdown, "odd"},
		"/docs/NoPack/en.md":              {markdown, "no pack"},
		"/docs/Silent/en.md":              {},
		"/docs/Unknown/en.md":             {},
		"/docs/Core/en.html":              {},
		"/docs/Core":                      {},
		"/docs/Core.md":                   {},
		"/docs/en.md":                     {},
		"/docs/":                          {},
		"/extensions/pack/docs/a.png":     {"image/png", "picture"},
		"/extensions/pack/docs/Filed.md":  {text, "file"},

		"/extensions/pack/docs/Packed/de.md":       {text, "file de"},
		"/extensions/pack/docs/Packed.md":          {markdown, "packed"},
		"/extensions/pack/docs/Packed/fr.md":       {markdown, "packed"},
		"/extensions/pack/docs/Packed/en.md":       {markdown, "deep"}, // the class of this name
		"/extensions/pack/docs/Packed/en/fr.md":    {markdown, "deep"},
		"/extensions/pack/docs/Filed/en.md":        {}, // the front end asks for the file next
		"/extensions/pack/docs/Versioned/en.md":    {markdown, "versioned"},
		"/extensions/pack/docs/Core/en.md":         {},
		"/extensions/pack/docs/Alone/en.md":        {},
		"/extensions/pack/docs/Packed":             {},
		"/extensions/pack/Packed/fr.md":            {},
		"/extensions/pack":                         {},
		"/extensions/alone/docs/Alone/en.md":       {markdown, "alone"},
		"/extensions/alone/docs/Alone.md":          {markdown, "alone"},
		"/extensions/empty/docs/Nothing/en.md":     {markdown, "nothing"},
		"/extensions/front/docs/Front/de.md":       {text, "file de"},
		"/extensions/front/docs/Front/en.md":       {markdown, "front"},
		"/extensions/pack@1.2/docs/Versioned.md":   {},
		"/extensions/elsewhere.pack/docs/Odd.md":   {},
		"/extensions/alone/docs/Unknown/en.md":     {},
		"/extensions/alone/docs/Alone/en.markdown": {},
	} {
		a := h.send("GET", path, "")
		if want.body == "" {
			require.Equal(t, 404, a.status, path)
			require.Equal(t, text, a.header.Get("Content-Type"), path)
			continue
		}
		require.Equal(t, 200, a.status, path)
		require.Equal(t, want.body, a.body, path)
		require.Equal(t, want.typ, a.header.Get("Content-Type"), path)
		require.Equal(t, "nosniff", a.header.Get("X-Content-Type-Options"), path)
	}
	for _, path := range []string{"/docs/../Core/en.md", "/docs/Seed%20//../Core/en.md", "/docs/.//Core/en.md", "/view//x", "/docs//", "/docs//../../x"} {
		require.Equal(t, 404, h.send("GET", path, "").status, path)
	}
	for _, path := range []string{"/object_info/Seed%20//Inspire", "/api/object_info/Seed%20//Inspire", "/object_info/Seed%20%2F%2FInspire"} {
		require.Contains(t, h.get(path), "Seed //Inspire", path)
	}
}
