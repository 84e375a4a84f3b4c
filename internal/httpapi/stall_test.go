package httpapi

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// readerOf asks a server for an endless answer, or one of so many lines, that is sent at the pace. Ended tells how sending it did.
func readerOf(t *testing.T, p pace, count int) (conn net.Conn, ended chan error) {
	t.Helper()
	ended = make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		l := newLines(w, p)
		var err error
		for n := 0; err == nil && n != count; n++ {
			err = l.add(strings.Repeat("x", 1000))
		}
		if err == nil {
			err = l.flush()
		}
		ended <- err
	}))
	t.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	return conn, ended
}

// TestAStalledReaderIsCutOff connects and takes nothing of an endless answer.
func TestAStalledReaderIsCutOff(t *testing.T) {
	t.Parallel()
	_, ended := readerOf(t, pace{stall: 50 * time.Millisecond, rate: 1 << 40, grace: time.Hour}, -1)
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("ended with %v", err)
	}
}

// TestATricklingReaderIsCutOff takes an endless answer byte by byte, without a pause that would be a stall.
func TestATricklingReaderIsCutOff(t *testing.T) {
	t.Parallel()
	conn, ended := readerOf(t, pace{stall: time.Hour, rate: 1 << 40, grace: 50 * time.Millisecond}, -1)
	go func() {
		one := make([]byte, 1)
		for {
			if _, err := conn.Read(one); err != nil {
				return
			}
		}
	}()
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("ended with %v", err)
	}
}

// TestAReaderThatKeepsThePaceGetsAll has little grace, but takes more than it has to.
func TestAReaderThatKeepsThePaceGetsAll(t *testing.T) {
	t.Parallel()
	const lines = 20_000
	conn, ended := readerOf(t, pace{stall: time.Hour, rate: 1 << 10, grace: 5 * time.Second}, lines)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != lines*1003 { // quotes and the end of the line
		t.Errorf("%d bytes, %v", n, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestPatienceWithReaders(t *testing.T) {
	t.Parallel()
	const s = time.Second
	for name, c := range map[string]struct {
		took     []time.Duration // for a batch each
		patience time.Duration
	}{
		"at the start":                       {nil, 30 * s},
		"as fast as it has to be":            {[]time.Duration{s, s, s}, 30 * s},
		"faster: nothing is saved up":        {[]time.Duration{0, 0, 0, 59 * s}, 2 * s},
		"29 s for each batch: at the third":  {[]time.Duration{29 * s, 29 * s}, 4 * s},
		"a pause that was made up for":       {append([]time.Duration{29 * s}, repeated(28, 0)...), 30 * s},
		"half the rate, for a minute and 58": {repeated(58, 2*s), 2 * s},
	} {
		behind := time.Duration(0)
		for _, took := range c.took {
			behind = streamPace.after(behind, lineBuffer, took)
		}
		if got := streamPace.patience(behind); got != c.patience {
			t.Errorf("%s: %v, want %v", name, got, c.patience)
		}
	}
}

func repeated(n int, d time.Duration) (list []time.Duration) {
	for range n {
		list = append(list, d)
	}
	return list
}
