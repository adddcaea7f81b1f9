package comfy_test

import (
	"encoding/json"
	"fmt"
	"strings"
)

// jobSchema checks jobs as strictly as the front end of ComfyUI 0.38 does: if a member has
// another type than it expects, the front end discards the whole list, or the whole detail.
type jobSchema struct{ wrong []string }

func (c *jobSchema) is(ok bool, at string, v any) {
	if !ok {
		c.wrong = append(c.wrong, fmt.Sprintf("%s: %T %.60v", at, v, v))
	}
}

// member checks a member of an object. A member that is required must be there.
func (c *jobSchema) member(o map[string]any, at, name string, required bool, fits func(v any) bool) {
	if v, has := o[name]; has || required {
		c.is(has && fits(v), at+"."+name, v)
	}
}

func isText(v any) bool   { _, is := v.(string); return is }
func isTruth(v any) bool  { _, is := v.(bool); return is }
func isNumber(v any) bool { _, is := v.(json.Number); return is }
func isNumberOrNull(v any) bool {
	return v == nil || isNumber(v)
}

func isWholeOrNull(v any) bool {
	n, is := v.(json.Number)
	return v == nil || is && !strings.ContainsAny(string(n), ".eE")
}

func isTexts(v any) bool { return isListOf(v, isText) }

func isListOf(v any, fits func(v any) bool) bool {
	list, is := v.([]any)
	for _, e := range list {
		is = is && fits(e)
	}
	return is
}

func isFolder(v any) bool { return v == "input" || v == "output" || v == "temp" }

func isStatus(v any) bool {
	switch v {
	case "pending", "in_progress", "completed", "failed", "cancelled":
		return true
	}
	return false
}

// list checks an answer of /api/jobs.
func (c *jobSchema) list(v any) {
	o, is := v.(map[string]any)
	c.is(is, "answer", v)
	jobs, is := o["jobs"].([]any)
	c.is(is, "jobs", o["jobs"])
	for i, j := range jobs {
		c.job(fmt.Sprint("jobs.", i), j)
	}
	page, is := o["pagination"].(map[string]any)
	c.is(is, "pagination", o["pagination"])
	for _, name := range []string{"offset", "limit", "total"} {
		c.member(page, "pagination", name, true, isNumber)
	}
	c.member(page, "pagination", "has_more", true, isTruth)
}

// job checks an element of the list.
func (c *jobSchema) job(at string, v any) {
	o, is := v.(map[string]any)
	c.is(is, at, v)
	c.member(o, at, "id", true, isText)
	c.member(o, at, "status", true, isStatus)
	c.member(o, at, "create_time", true, isNumber)
	c.member(o, at, "priority", false, isNumber)
	c.member(o, at, "execution_start_time", false, isNumberOrNull)
	c.member(o, at, "execution_end_time", false, isNumberOrNull)
	c.member(o, at, "outputs_count", true, isWholeOrNull)
	c.member(o, at, "previewable_outputs_count", true, isWholeOrNull)
	c.member(o, at, "workflow_id", false, isText)
	if v := o["preview_output"]; v != nil {
		c.preview(at+".preview_output", v)
	}
	if v := o["execution_error"]; v != nil {
		c.failure(at+".execution_error", v)
	}
}

func (c *jobSchema) preview(at string, v any) {
	o, is := v.(map[string]any)
	c.is(is, at, v)
	c.member(o, at, "nodeId", true, isText)
	c.member(o, at, "mediaType", true, isText)
	c.file(at, o)
	c.member(o, at, "content", false, isText)
}

func (c *jobSchema) file(at string, o map[string]any) {
	for _, name := range []string{"filename", "subfolder", "display_name"} {
		c.member(o, at, name, false, isText)
	}
	c.member(o, at, "type", false, isFolder)
}

func (c *jobSchema) failure(at string, v any) {
	o, is := v.(map[string]any)
	c.is(is, at, v)
	for _, name := range []string{"node_id", "node_type", "exception_message", "exception_type"} {
		c.member(o, at, name, true, isText)
	}
	c.member(o, at, "traceback", true, isTexts)
	c.member(o, at, "executed", false, isTexts)
	c.member(o, at, "prompt_id", false, isText)
	c.member(o, at, "timestamp", false, isNumber)
}

// detail checks an answer of /api/jobs/{id}.
func (c *jobSchema) detail(v any) {
	c.job("detail", v)
	o, _ := v.(map[string]any)
	workflow, is := o["workflow"].(map[string]any)
	c.is(is, "workflow", o["workflow"])
	_, is = workflow["prompt"].(map[string]any)
	c.is(is, "workflow.prompt", workflow["prompt"])
	extra, is := workflow["extra_data"].(map[string]any)
	c.is(is, "workflow.extra_data", workflow["extra_data"])
	_, is = extra["extra_pnginfo"].(map[string]any) // or the front end opens neither the workflow nor the prompt
	c.is(is || extra["extra_pnginfo"] == nil, "workflow.extra_data.extra_pnginfo", extra["extra_pnginfo"])
	if o["outputs"] == nil {
		c.is(o["status"] == "pending" || o["status"] == "in_progress", "outputs", nil)
		return
	}
	outputs, is := o["outputs"].(map[string]any)
	c.is(is, "outputs", o["outputs"])
	for id, v := range outputs {
		c.shown("outputs."+id, v)
	}
}

// shown checks what a node showed.
func (c *jobSchema) shown(at string, v any) {
	o, is := v.(map[string]any)
	c.is(is, at, v)
	for _, media := range []string{"images", "audio", "video"} {
		c.member(o, at, media, false, func(v any) bool {
			return isListOf(v, func(v any) bool {
				item, is := v.(map[string]any)
				c.file(at+"."+media, item)
				c.member(item, at+"."+media, "id", false, isText)
				return is
			})
		})
	}
	c.member(o, at, "animated", false, func(v any) bool { return isListOf(v, isTruth) })
	c.member(o, at, "text", false, func(v any) bool { return isText(v) || isTexts(v) })
}
