package picture_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/nodebus/nodebus/picture"
	"github.com/stretchr/testify/require"
)

// chunked returns a PNG file of chunks without an image.
func chunked(typesAndData ...string) string {
	b := []byte("\x89PNG\r\n\x1a\n")
	for i := 0; i < len(typesAndData); i += 2 {
		b = binary.BigEndian.AppendUint32(b, uint32(len(typesAndData[i+1])))
		body := typesAndData[i] + typesAndData[i+1]
		b = binary.BigEndian.AppendUint32(append(b, body...), crc32.ChecksumIEEE([]byte(body)))
	}
	return string(b)
}

func packed(s string) string {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	_, _ = io.WriteString(z, s)
	_ = z.Close()
	return b.String()
}

// exif returns a JPEG file with a TIFF structure, without an image.
func exif(tiff string) string {
	b := binary.BigEndian.AppendUint16([]byte("\xff\xd8\xff\xff\xe1"), uint16(len(tiff)+8))
	return string(b) + "Exif\x00\x00" + tiff + "\xff\xd9"
}

// overlapping returns a JPEG file of Exif segments whose texts share their bytes: each of the
// segments has n texts of size bytes.
func overlapping(segments, n, size int) string {
	var b strings.Builder
	b.WriteString("\xff\xd8")
	for s := range segments {
		le := binary.LittleEndian
		tiff := le.AppendUint16([]byte("II\x2a\x00\x08\x00\x00\x00"), uint16(n))
		for i := range n {
			tiff = append(le.AppendUint16(tiff, 0x0110), 2, 0)
			tiff = le.AppendUint32(le.AppendUint32(tiff, uint32(size-i)), uint32(10+12*n+i))
		}
		text := strings.Repeat(string(rune('A'+s)), n) + ":"
		tiff = append(tiff, text+strings.Repeat("x", size-len(text))...)
		b.WriteString("\xff\xe1")
		b.Write(binary.BigEndian.AppendUint16(nil, uint16(len(tiff)+8)))
		b.WriteString("Exif\x00\x00" + string(tiff))
	}
	return b.String() + "\xff\xd9"
}

// TestReadTakesLittleMemory: what Read takes does not grow much beyond the file.
func TestReadTakesLittleMemory(t *testing.T) {
	for _, file := range []string{overlapping(4, 1800, 43000), overlapping(64, 17, 60000)} {
		before := allocated()
		_, err := picture.Read(strings.NewReader(file))
		require.ErrorIs(t, err, picture.ErrTooLong)
		require.Less(t, allocated()-before, uint64(len(file)+1<<20))
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// TestRead reads files of other tools.
func TestRead(t *testing.T) {
	const big = "MM\x00\x2a\x00\x00\x00\x08\x00\x02\x01\x10\x00\x02\x00\x00\x00\x0a\x00\x00\x00\x26\x01\x12\x00\x03\x00\x00\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00Prompt:{}\x00"
	for name, c := range map[string]struct {
		file string
		want picture.Metadata
	}{
		"the last one counts":   {chunked("tEXt", "a\x001", "IDAT", "xx", "tEXt", "a\x002", "IEND", ""), picture.Metadata{"a": "2"}},
		"compressed":            {chunked("zTXt", "a\x00\x00"+packed("text"), "IEND", ""), picture.Metadata{"a": "text"}},
		"international":         {chunked("iTXt", "a\x00\x00\x00de\x00ä\x00Grüße", "IEND", ""), picture.Metadata{"a": "Grüße"}},
		"compressed as well":    {chunked("iTXt", "a\x00\x01\x00\x00\x00"+packed("世界"), "IEND", ""), picture.Metadata{"a": "世界"}},
		"Latin-1":               {chunked("tEXt", "Gr\xf6\xdfe\x00gr\xfcn", "IEND", ""), picture.Metadata{"Größe": "grün"}},
		"UTF-8, as many tools":  {chunked("tEXt", "a\x00grün", "IEND", ""), picture.Metadata{"a": "grün"}},
		"no text in a PNG":      {chunked("IHDR", "", "IEND", ""), picture.Metadata{}},
		"big-endian":            {exif(big), picture.Metadata{"Prompt": "{}"}},
		"a camera":              {exif("II\x2a\x00\x08\x00\x00\x00\x01\x00\x0f\x01\x02\x00\x04\x00\x00\x00abc\x00"), picture.Metadata{}},
		"another APP1":          {"\xff\xd8\xff\xe1\x00\x06http\xff\x01\xff\xd9", picture.Metadata{}},
		"no metadata in a JPEG": {"\xff\xd8\xff\xe0\x00\x03x\xff\xda\x00", picture.Metadata{}},
	} {
		for _, r := range []io.Reader{strings.NewReader(c.file), iotest.OneByteReader(strings.NewReader(c.file))} {
			got, err := picture.Read(r)
			require.NoError(t, err, name)
			require.Equal(t, c.want, got, name)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	wrong := []byte(chunked("tEXt", "a\x001", "IEND", ""))
	wrong[len(wrong)-13]++
	tiff := func(entries string) string { return exif("II\x2a\x00\x08\x00\x00\x00" + entries) }
	for name, c := range map[string]struct{ file, says string }{
		"empty":                   {"", "neither"},
		"short":                   {"\x89PNG", "neither"},
		"GIF":                     {"GIF89a..........", "neither"},
		"a wrong checksum":        {string(wrong), "checksum"},
		"a cut chunk":             {chunked("tEXt", "a\x00123")[:18], "ends too early"},
		"a cut image":             {chunked("IDAT", "123")[:18], "ends too early"},
		"no end":                  {chunked("IDAT", "123"), "ends too early"},
		"a huge chunk":            {"\x89PNG\r\n\x1a\n\xff\xff\xff\xfftEXt", "damaged"},
		"much text":               {"\x89PNG\r\n\x1a\n\x7f\xff\xff\xfftEXta", "too long"},
		"a bomb":                  {chunked(slices.Repeat([]string{"zTXt", "a\x00\x00" + packed(strings.Repeat("x", 4<<20))}, 17)...), "too long"},
		"no name":                 {chunked("tEXt", "abc"), "no name"},
		"unknown compression":     {chunked("zTXt", "a\x00\x07abc"), "compression"},
		"no compression":          {chunked("zTXt", "a\x00"), "compression"},
		"no zlib":                 {chunked("zTXt", "a\x00\x00abc"), "damaged"},
		"cut zlib":                {chunked("iTXt", "a\x00\x01\x00\x00\x00"+packed("text")[:9]), "damaged"},
		"a short iTXt":            {chunked("iTXt", "a\x00\x01"), "too short"},
		"an iTXt in another form": {chunked("iTXt", "a\x00\x02\x00\x00\x00"), "wrong form"},
		"an iTXt without text":    {chunked("iTXt", "a\x00\x00\x00x"), "wrong form"},
		"no marker":               {"\xff\xd8ab", "no marker"},
		"a cut marker":            {"\xff\xd8\xff", "ends too early"},
		"a cut length":            {"\xff\xd8\xff\xe0\x00", "ends too early"},
		"a wrong length":          {"\xff\xd8\xff\xe0\x00\x01", "without a length"},
		"a cut segment":           {"\xff\xd8\xff\xe0\x00\x09abc", "ends too early"},
		"a cut Exif segment":      {"\xff\xd8\xff\xe1\x00\x09abc", "ends too early"},
		"no TIFF":                 {exif("MM"), "Exif data"},
		"another order":           {exif("XX\x2a\x00\x08\x00\x00\x00\x00\x00"), "Exif data"},
		"a place outside":         {exif("II\x2a\x00\xff\xff\xff\xff"), "Exif data"},
		"texts that overlap":      {overlapping(1, 2, 50), "too long"},
		"more texts than tags":    {overlapping(1, 18, 50), "too long"},
		"texts without an end":    {chunked(slices.Repeat([]string{"tEXt", "a\x00"}, 1<<21)...), "too long"},
		"a cut list":              {tiff("\x02\x00"), "Exif data"},
		"a text outside":          {tiff("\x01\x00\x10\x01\x02\x00\xff\xff\xff\xff\xff\xff\xff\xff"), "Exif data"},
	} {
		_, err := picture.Read(strings.NewReader(c.file))
		require.ErrorContains(t, err, c.says, name)
		if c.says == "neither" {
			require.ErrorIs(t, err, picture.ErrFormat)
		}
		if c.says == "too long" {
			require.ErrorIs(t, err, picture.ErrTooLong)
		}
	}
	for _, start := range []string{"", "\x89", "\x89PNG\r\n\x1a\n", "\xff\xd8", chunked("tEXt", "a\x001")[:20]} {
		_, err := picture.Read(io.MultiReader(strings.NewReader(start), iotest.ErrReader(errFull)))
		require.ErrorIs(t, err, errFull, "%q", start)
	}
}

// FuzzRead: Read does not panic, and what it has read can be written and read again.
func FuzzRead(f *testing.F) {
	for _, m := range []picture.Metadata{nil, {"prompt": "{}", "workflow": "[]"}, {"a": "ä", "ü": "b:c"}} {
		var file bytes.Buffer
		require.NoError(f, picture.EncodePNG(&file, square(), m, nil))
		f.Add(file.Bytes())
		file = bytes.Buffer{}
		require.NoError(f, picture.EncodeJPEG(&file, square(), m, nil))
		f.Add(file.Bytes())
	}
	f.Add([]byte(chunked("zTXt", "a\x00\x00"+packed("text"), "iTXt", "b\x00\x01\x00\x00\x00"+packed("text"), "IEND", "")))
	f.Add([]byte(exif("MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x10\x00\x02\x00\x00\x00\x04a:b\x00\x00\x00\x00\x00")))
	f.Add([]byte(overlapping(1, 1, 50)))
	f.Add([]byte(overlapping(2, 30, 400)))
	f.Fuzz(func(t *testing.T, file []byte) {
		m, err := picture.Read(bytes.NewReader(file))
		if err != nil {
			require.Nil(t, m)
			return
		}
		for name, format := range formats {
			var again bytes.Buffer
			if format.encode(&again, square(), m) != nil {
				continue
			}
			got, err := picture.Read(&again)
			require.NoError(t, err, name)
			require.Equal(t, m, got, name)
		}
	})
}

// FuzzWrite: what can be written can be read.
func FuzzWrite(f *testing.F) {
	f.Add("prompt", "{}", "workflow", "世界")
	f.Add("a", "", "b:", "\xff")
	f.Fuzz(func(t *testing.T, name, text, name2, text2 string) {
		m := picture.Metadata{name: text, name2: text2}
		for format, c := range formats {
			var file bytes.Buffer
			if c.encode(&file, square(), m) != nil {
				require.Zero(t, file.Len())
				continue
			}
			got, err := picture.Read(bytes.NewReader(file.Bytes()))
			require.NoError(t, err, format)
			require.Equal(t, m, got, format)
			_, err = c.decode(&file)
			require.NoError(t, err, format)
		}
	})
}
