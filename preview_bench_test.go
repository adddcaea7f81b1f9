package nodebus_test

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// bell is a publisher that says when it has published.
type bell chan struct{}

func (b bell) Publish(nodebus.Event) error {
	b <- struct{}{}
	return nil
}

// BenchmarkPreview measures the time that a node spends in Preview, and compares it with a
// node that encodes the same picture itself. Between two previews the node waits until the
// encoder is idle, so that the two do not compete.
func BenchmarkPreview(b *testing.B) {
	for _, side := range []int{256, 512, 1024, 2048} {
		img := image.NewRGBA(image.Rect(0, 0, side, side))
		for i := range img.Pix {
			img.Pix[i] = byte(i>>6) + byte(rand.IntN(16))
		}
		b.Run(fmt.Sprint(side), func(b *testing.B) {
			sent := make(bell, 1)
			ctx := nodebus.NewContext(b.Context(), nodebus.CallInfo{Place: nodebus.Place{UniqueID: "1"}, Publisher: sent})
			var beside, within []time.Duration
			for b.Loop() {
				at := time.Now()
				var file bytes.Buffer
				require.NoError(b, jpeg.Encode(&file, img, nil))
				require.NoError(b, ctx.PreviewFile(file.Bytes()))
				within = append(within, time.Since(at))
				<-sent
				at = time.Now()
				require.NoError(b, ctx.Preview(img))
				beside = append(beside, time.Since(at))
				<-sent
			}
			b.ReportMetric(float64(middle(beside).Microseconds()), "µs/Preview")
			b.ReportMetric(float64(middle(within))/float64(middle(beside)), "x-cheaper")
		})
	}
}

// middle returns the median, which other programs on the machine change little.
func middle(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}
