package picture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	signatureJPEG = "\xff\xd8"
	exifHead      = "Exif\x00\x00"
	segmentMax    = 0xffff // bytes of a segment with its length

	tagModel  = 0x0110 // the tag of the prompt; the tags of the other texts follow downwards
	tagFirst  = 0x0100
	typeASCII = 2
	tags      = tagModel - tagFirst + 1
	entrySize = 12
)

var (
	errColon  = errors.New("a name in a JPEG file must not be empty or contain a colon")
	errTags   = fmt.Errorf("%w: a JPEG file holds at most %d texts", ErrTooLong, tags)
	errExifUp = errors.New("picture: the Exif data of the JPEG file is damaged")
	// errOverlap means that the texts of a segment are longer than the segment, or more than
	// its tags. A small file could become gigabytes.
	errOverlap = fmt.Errorf("picture: the Exif data of the JPEG file is %w: its texts overlap, or it has more than %d", ErrTooLong, tags)
)

// segment returns the Exif segment of the metadata; nil if there is none.
func (m Metadata) segment() ([]byte, error) {
	if err := m.check(); err != nil || len(m) == 0 {
		return nil, err
	}
	names := m.order()
	if _, ok := m["prompt"]; !ok {
		names = append([]string{""}, names...) // the tag of the prompt stays free
	}
	if len(names) > tags {
		return nil, &MetadataError{"", errTags}
	}
	var texts []string // by tag, upwards
	for i := len(names) - 1; i >= 0; i-- {
		name := names[i]
		text, ok := m[name]
		if ok && (name == "" || strings.Contains(name, ":")) {
			return nil, &MetadataError{name, errColon}
		}
		if ok {
			texts = append(texts, name+":"+text+"\x00")
		}
	}
	b := append([]byte("\xff\xe1\x00\x00"), exifHead...)
	b = appendTIFF(b, texts, tagModel-len(names)+1)
	if len(b)-2 > segmentMax {
		return nil, &MetadataError{"", fmt.Errorf("%w: a JPEG file holds %d bytes of metadata, this has %d; write a PNG file, or less metadata",
			ErrTooLong, segmentMax, len(b)-2)}
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)-2))
	return b, nil
}

// appendTIFF appends a TIFF structure with texts, whose tags begin at first.
func appendTIFF(b []byte, texts []string, first int) []byte {
	le := binary.LittleEndian
	at := 8 + 2 + entrySize*len(texts) + 4 // where the texts begin
	b = append(b, "II\x2a\x00\x08\x00\x00\x00"...)
	b = le.AppendUint16(b, uint16(len(texts)))
	var data []byte
	for i, text := range texts {
		b = le.AppendUint16(le.AppendUint16(b, uint16(first+i)), typeASCII)
		b = le.AppendUint32(b, uint32(len(text)))
		if len(text) <= 4 {
			b = append(b, (text + "\x00\x00\x00")[:4]...)
			continue
		}
		b = le.AppendUint32(b, uint32(at+len(data)))
		if data = append(data, text...); len(data)%2 == 1 {
			data = append(data, 0)
		}
	}
	return append(append(b, 0, 0, 0, 0), data...)
}

// readJPEG reads the segments after the marker SOI, up to the data of the image.
func readJPEG(r io.Reader) (Metadata, error) {
	m, left := Metadata{}, metadataMax
	for {
		marker, err := nextMarker(r)
		switch {
		case err != nil:
			return nil, err
		case marker == 0xda || marker == 0xd9: // the image begins, or the file ends
			return m, nil
		case marker == 0x01 || marker >= 0xd0 && marker <= 0xd8: // markers without a length
			continue
		}
		var size [2]byte
		if _, err := io.ReadFull(r, size[:]); err != nil {
			return nil, cut(err)
		}
		n := int64(binary.BigEndian.Uint16(size[:])) - 2
		if n < 0 {
			return nil, errors.New("picture: the JPEG file is damaged: a segment without a length")
		}
		if marker != 0xe1 {
			if err := skip(r, n); err != nil {
				return nil, cut(err)
			}
			continue
		}
		segment := make([]byte, n)
		if _, err := io.ReadFull(r, segment); err != nil {
			return nil, cut(err)
		}
		if tiff, ok := bytes.CutPrefix(segment, []byte(exifHead)); ok {
			if err := m.readTIFF(tiff); err != nil {
				return nil, err
			}
			if left -= len(tiff) + tags*textRoom; left < 0 {
				return nil, tooLongToRead()
			}
		}
	}
}

// nextMarker reads a marker and the bytes that may fill the space before it.
func nextMarker(r io.Reader) (byte, error) {
	var b [1]byte
	for filled := false; ; filled = true {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return 0, cut(err)
		}
		switch {
		case b[0] != 0xff && filled:
			return b[0], nil
		case b[0] != 0xff:
			return 0, errors.New("picture: the JPEG file is damaged: there is no marker after a segment")
		}
	}
}

// readTIFF reads the texts of a TIFF structure. The texts together are at most as long as the
// structure, also if their bytes overlap.
func (m Metadata) readTIFF(b []byte) error {
	if len(b) < 8 {
		return errExifUp
	}
	var order binary.ByteOrder = binary.LittleEndian
	if string(b[:2]) == "MM" {
		order = binary.BigEndian
	} else if string(b[:2]) != "II" {
		return errExifUp
	}
	at := uint64(order.Uint32(b[4:]))
	if at+2 > uint64(len(b)) {
		return errExifUp
	}
	entries, texts, left := b[at+2:], 0, uint64(len(b))
	for range order.Uint16(b[at:]) {
		if len(entries) < entrySize {
			return errExifUp
		}
		e := entries[:entrySize]
		entries = entries[entrySize:]
		tag := order.Uint16(e)
		if order.Uint16(e[2:]) != typeASCII || tag < tagFirst || tag > tagModel {
			continue
		}
		text, err := textOf(b, e, order)
		if err != nil {
			return err
		}
		if texts++; texts > tags || uint64(len(text)) > left {
			return errOverlap
		}
		left -= uint64(len(text))
		m.addExif(text)
	}
	return nil
}

// textOf returns the bytes of the text of an entry of a TIFF structure.
func textOf(b, entry []byte, order binary.ByteOrder) ([]byte, error) {
	n, value := uint64(order.Uint32(entry[4:])), entry[8:]
	if n > 4 {
		from := uint64(order.Uint32(value))
		if from+n > uint64(len(b)) {
			return nil, errExifUp
		}
		value = b[from:]
	}
	return value[:n], nil
}

// addExif adds the text of a tag, "name:text".
func (m Metadata) addExif(b []byte) {
	b, _, _ = bytes.Cut(b, []byte{0})
	if name, text, ok := bytes.Cut(b, []byte(":")); ok && len(name) > 0 {
		m[asText(name)] = asText(text)
	}
}
