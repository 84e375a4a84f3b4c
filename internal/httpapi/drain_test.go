package httpapi_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/tenant"
)

// TestWhoSendsTooMuchSeesTheRefusal sends bodies of three megabytes, of known and of unknown length, and reads nothing before all is sent.
func TestWhoSendsTooMuchSeesTheRefusal(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	request := "POST /v1/integrations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer " + h.mine.keys[tenant.Admin] + "\r\n"
	body := strings.Repeat("x", 3<<20)
	for name, send := range map[string]func(w io.Writer) error{
		"known length": func(w io.Writer) error {
			_, err := io.WriteString(w, request+"Content-Length: 3145728\r\n\r\n"+body)
			return err
		},
		"unknown length": func(w io.Writer) error {
			if _, err := io.WriteString(w, request+"Transfer-Encoding: chunked\r\n\r\n"); err != nil {
				return err
			}
			chunked := httputil.NewChunkedWriter(w)
			if _, err := io.WriteString(chunked, body); err != nil {
				return err
			}
			_, err := io.WriteString(w, "0\r\n\r\n")
			return err
		},
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
		must(t, err)
		must(t, conn.(*net.TCPConn).SetWriteBuffer(16<<10))
		must(t, conn.SetDeadline(time.Now().Add(time.Minute)))
		if err := send(conn); err != nil {
			t.Errorf("%s: cut off while it was sent: %v", name, err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%s: no answer: %v", name, err)
			continue
		}
		got, err := read(answer)
		must(t, err)
		checkProblem(t, name, got, http.StatusRequestEntityTooLarge, fault.CodeBodyTooLarge)
		must(t, conn.Close())
	}
}
