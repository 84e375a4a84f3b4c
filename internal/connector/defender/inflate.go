package defender

import (
	"bufio"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// acceptEncoding is what calls to the API ask for. Never deflate: offered that, Microsoft sends it without the zlib
// header. Naming the encoding ourselves keeps net/http from inflating, which takes it a quarter longer.
const acceptEncoding = "gzip"

// inflated is a body of this Content-Encoding as it was before it was compressed. Nothing is read before the first Read.
func inflated(src io.Reader, encoding string) io.Reader {
	if !strings.EqualFold(encoding, "gzip") {
		return src
	}
	return &gunzip{src: src}
}

type gunzip struct {
	src io.Reader
	z   *gzip.Reader
}

func (g *gunzip) Read(p []byte) (int, error) {
	if g.z == nil {
		z, err := gzip.NewReader(bufio.NewReaderSize(g.src, chunkSize))
		if err != nil {
			return 0, err // io.EOF for a body that is empty, as net/http has it
		}
		g.z = z
	}
	return g.z.Read(p)
}
