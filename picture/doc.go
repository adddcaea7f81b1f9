// Package picture saves images with the prompt and the workflow inside, as ComfyUI does. A
// person drops such a file into the editor, and the editor shows the workflow that has made
// the image.
//
//	func (n SaveImage) Run(ctx *nodebus.Context) (nodebus.UI, error) {
//		file, err := n.folder.Create(n.Prefix, ".png", func(w io.Writer) error {
//			return picture.WritePNG(ctx, w, n.Image)
//		})
//		return nodebus.Images(file), err
//	}
//
// [WritePNG] and [WriteJPEG] take the metadata from the context of the node: the hidden
// values PROMPT and EXTRA_PNGINFO, see [MetadataOf]. [EncodePNG] and [EncodeJPEG] write any
// [Metadata], and [Read] reads it from a file. [Expand] replaces words such as %year% in the
// prefix of a file name.
//
// ComfyUI's front end (version 1.58) reads the metadata of PNG files. It does not read the
// metadata of JPEG files: a JPEG file that is dropped becomes a node that loads the image.
// Other tools read both.
//
// All functions are safe for concurrent use. They write nothing if they refuse the metadata
// or the size of the image. After any other error, what was written is not a complete file;
// [Folder.Create] removes it.
package picture
