package golden_test

import (
	"image"
	"image/color"
	"image/draw"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// viewer is an additional client that downloads each picture that a node shows. No
// trace contains it.
const viewer = "(viewer)"

// pictures returns the files of all shown pictures, each file once.
func (ts *transcript) pictures() (files []map[string]any) {
	seen := map[any]bool{}
	for _, client := range slices.Sorted(maps.Keys(ts.clients)) {
		for _, m := range ts.clients[client] {
			output, _ := m.Data["output"].(map[string]any)
			images, _ := output["images"].([]any)
			for _, f := range images {
				file := f.(map[string]any)
				if !seen[file["filename"]] {
					seen[file["filename"]] = true
					files = append(files, maps.Clone(file))
				}
			}
		}
	}
	return files
}

// look downloads a picture from /view.
func (o *outside) look(file map[string]any) message {
	query := url.Values{}
	for name, v := range file {
		query.Set(name, v.(string))
	}
	a := o.do(http.MethodGet, "/view?"+query.Encode(), nil, "")
	require.Equal(o.t, http.StatusOK, a.status, "%s", a.body)
	file["content_type"] = a.typ
	m := preview(o.t, 0, file, a.body)
	m.Type = "view"
	return m
}

// painted draws the picture that the RefImage node of the trace makes. It is needed
// because the recording has no request for a picture.
func (tr *trace) painted(t *testing.T, file map[string]any) message {
	for _, graph := range tr.Prompts {
		for _, n := range graph {
			if n.Class != "RefImage" {
				continue
			}
			img := image.NewGray(image.Rect(0, 0, int(n.Inputs["width"].(float64)), int(n.Inputs["height"].(float64))))
			grey := uint8(n.Inputs["value"].(float64) * 255)
			draw.Draw(img, img.Rect, image.NewUniform(color.Gray{Y: grey}), image.Point{}, draw.Src)
			file["content_type"], file["format"], file["size"] = "image/png", "png", img.Rect.Size().String()
			return message{"view", file, img}
		}
	}
	require.Fail(t, "the trace has no RefImage node")
	return message{}
}
