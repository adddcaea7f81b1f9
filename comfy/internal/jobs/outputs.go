package jobs

import (
	"maps"
	"slices"
	"strings"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy/internal/web"
	"github.com/nodebus/nodebus/internal/jsonenc"
)

// animated is a member of a UI with truth values about the images beside it. They are not
// outputs.
const animated = "animated"

// Front ends draw files with one of modelExtensions in three dimensions, and show files with
// one of textExtensions as text.
var (
	modelExtensions = []string{".obj", ".fbx", ".gltf", ".glb", ".usdz"}
	textExtensions  = []string{".txt", ".md", ".json"}
)

func hasExtension(name string, extensions []string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc(extensions, func(ext string) bool { return strings.HasSuffix(name, ext) })
}

// asItem returns an element of a UI as an object: an element that is an object in JSON, or a
// text that names a model file. It returns nil for any other element, and for an element
// without a form in JSON. An item has only members with a form in JSON.
func asItem(v any) map[string]any {
	switch v := v.(type) {
	case nil, bool, int, float64:
		return nil
	case map[string]any:
		return encodable(v)
	case string:
		if hasExtension(v, modelExtensions) {
			return map[string]any{"filename": v, "type": "output", "subfolder": "", "mediaType": "3d"}
		}
		return nil
	case nodebus.File:
		return map[string]any{"filename": v.Filename, "subfolder": v.Subfolder, "type": v.Type}
	}
	data := encode(v)
	if len(data) == 0 || data[0] != '{' {
		return nil
	}
	var m map[string]any
	_ = jsonenc.Decode(data, &m) // cannot fail: encode has made data
	return m
}

// isShown reports whether a front end can show an item of a list with this name.
func isShown(media string, item map[string]any) bool {
	switch media {
	case "images", "video", "audio", "3d", "text":
		return true
	}
	format, _ := item["format"].(string)
	name, _ := item["filename"].(string)
	return strings.HasPrefix(format, "video/") || strings.HasPrefix(format, "audio/") ||
		hasExtension(name, modelExtensions) || hasExtension(name, textExtensions)
}

// fileMembers are the members of a file that front ends check. If one of them has another
// type than text, or type is no folder, a front end discards everything around it.
var fileMembers = []string{"filename", "subfolder", "display_name", "type"}

// fits reports whether front ends accept a member of a file.
func fits(name string, v any) bool {
	text, isText := v.(string)
	switch {
	case name == "type":
		return text == "input" || text == "output" || text == "temp"
	case name == "id" || slices.Contains(fileMembers, name):
		return isText
	}
	return true
}

// outputsOf returns what the nodes of a prompt showed, in a form that front ends accept as a
// whole. A null is left out, and a text that names a model file is an object. The lists
// images, video and audio have only objects, without the members that do not fit. text has
// only texts: its objects are in files, other values are their JSON. animated has only truth
// values. An element without a form in JSON is left out.
func outputsOf(outputs []nodebus.NodeOutput) web.Object {
	all := web.Object{}
	for _, o := range outputs {
		lists := map[string][]any{}
		for _, media := range slices.Sorted(maps.Keys(o.UI)) {
			if lists[media] == nil {
				lists[media] = []any{} // a list without elements stays
			}
			for _, v := range o.UI[media] {
				if to, v := fitting(media, v); v != nil {
					lists[to] = append(lists[to], v)
				}
			}
		}
		shown := web.Object{}
		for _, media := range slices.Sorted(maps.Keys(lists)) {
			shown.Add(media, lists[media])
		}
		all.Add(o.UniqueID, shown)
	}
	return all
}

// fitting returns an element of a list in the form in which front ends accept it, and the
// list that it belongs to. The element is nil if it has to be left out.
func fitting(media string, v any) (to string, element any) {
	if _, is := v.(bool); media == animated && !is {
		return media, nil
	}
	item := asItem(v)
	switch media {
	case "images", "video", "audio":
		if item == nil {
			return media, nil
		}
		v = fittingMembers(item)
	case "text":
		if item != nil {
			media, v = "files", item
		} else if v = textOf(v); v == nil {
			return media, nil
		}
	default:
		if item != nil {
			v = item
		}
	}
	data := encode(v)
	if data == nil || string(data) == "null" {
		return media, nil
	}
	return media, data
}

// textOf returns an element of a list of texts as a text, or nil. An element that is no text
// is its JSON.
func textOf(v any) any {
	if text, is := v.(string); is {
		return text
	}
	if data := encode(v); data != nil && string(data) != "null" {
		return string(data)
	}
	return nil
}

func fittingMembers(item map[string]any) map[string]any {
	bad := func(name string, v any) bool { return !fits(name, v) }
	for name, v := range item {
		if bad(name, v) {
			item = maps.Clone(item) // a store may share the item
			maps.DeleteFunc(item, bad)
			break
		}
	}
	return item
}
