package jobs

import (
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy/internal/web"
)

// previewMax is the maximum number of characters of a preview of text.
const previewMax = 1024

// The places of a preview, the best first.
const (
	savedMedia = iota // a picture, a video, a sound or a model in the output folder
	otherMedia
	textFile
	plainText
	places
)

// shown is what a list says about the outputs of a job.
type shown struct {
	count     int // the objects, and the texts that name a model file
	showable  int // as count, but only what a front end can show
	preview   web.Object
	previewAt int // the place of preview; places if there is none
}

// summaryOf counts what nodes showed, and chooses the preview of the job: the first element
// of the best place. An element that front ends refuse is no preview, because they would
// discard the whole list.
func summaryOf(outputs []nodebus.NodeOutput) shown {
	s := shown{previewAt: places}
	for i := range outputs {
		o := &outputs[i]
		for _, media := range slices.Sorted(maps.Keys(o.UI)) {
			if media == animated {
				continue
			}
			for _, v := range o.UI[media] {
				item := asItem(v)
				if item == nil {
					if media == "text" && s.previewAt > plainText {
						s.offer(plainText, textPreview(v), o.UniqueID, media)
					}
					continue
				}
				s.count++
				if isShown(media, item) {
					s.showable++
					s.offer(placeOf(media, item), item, o.UniqueID, media)
				}
			}
		}
	}
	return s
}

// placeOf returns the place of an item that a front end can show.
func placeOf(media string, item map[string]any) int {
	name, _ := item["filename"].(string)
	switch {
	case media == "text" || hasExtension(name, textExtensions):
		return textFile
	case item["type"] == "output":
		return savedMedia
	}
	return otherMedia
}

// offer makes item the preview if its place is better than the place of the preview so far.
func (s *shown) offer(place int, item map[string]any, node, media string) {
	if place >= s.previewAt || item == nil {
		return
	}
	preview := web.Object{}
	for _, name := range slices.Sorted(maps.Keys(item)) {
		switch v := item[name]; name {
		case "nodeId":
		case "mediaType":
			if text, is := v.(string); is {
				media = text
			}
		case "content":
			if _, is := v.(string); is {
				preview.Add(name, v)
			}
		default:
			if slices.Contains(fileMembers, name) && !fits(name, v) {
				return // no front end could fetch it
			}
			preview.Add(name, v)
		}
	}
	preview.Add("nodeId", node)
	preview.Add("mediaType", media)
	s.preview, s.previewAt = preview, place
}

// textPreview returns the preview of an element of a list of texts.
func textPreview(v any) map[string]any {
	text, is := textOf(v).(string)
	if !is {
		return nil
	}
	if end := cutAt(text, previewMax); end < len(text) {
		return map[string]any{"content": text[:end], "truncated": true}
	}
	return map[string]any{"content": text}
}

// cutAt returns the length in bytes of the first n characters of text.
func cutAt(text string, n int) int {
	end := 0
	for ; n > 0 && end < len(text); n-- {
		_, size := utf8.DecodeRuneInString(text[end:])
		end += size
	}
	return end
}
