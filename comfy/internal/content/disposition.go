package content

import (
	"net/url"
	"path"
	"strings"
)

// Disposition returns the Content-Disposition header for a file. The browser shows
// the file, and uses its name if the user saves it; if save is true, it only saves the file.
func Disposition(name string, save bool) string {
	how := "inline"
	if save {
		how = "attachment"
	}
	name = path.Base(name)
	plain := strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return '_'
		}
		return c
	}, name)
	text := how + `; filename="` + plain + `"`
	if plain != name {
		text += "; filename*=UTF-8''" + url.PathEscape(name)
	}
	return text
}
