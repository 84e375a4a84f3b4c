package httpapi

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"pgp.internal/defender/internal/inventory"
)

// A request with some filters and a position as the list of findings makes them.
func benchmarkCursor(b *testing.B) (cursors, *http.Request, inventory.Position) {
	b.Helper()
	c := cursors{key: bytes.Repeat([]byte("k"), 32), now: time.Now}
	r := httptest.NewRequest(http.MethodGet, "/v1/findings?severity=high&severity=critical&state=open&sort=-first_seen_at&limit=100", nil)
	return c, r, inventory.Position{"-first_seen_at", "2026-11-21 06:15:09.123456+00", "4711", "81234"}
}

func BenchmarkCursorWrite(b *testing.B) {
	c, r, p := benchmarkCursor(b)
	b.ReportAllocs()
	for b.Loop() {
		if text, err := c.write(r, 7, p); err != nil || text == "" {
			b.Fatal(text, err)
		}
	}
}

func BenchmarkCursorRead(b *testing.B) {
	c, r, p := benchmarkCursor(b)
	text, err := c.write(r, 7, p)
	if err != nil {
		b.Fatal(err)
	}
	r.URL.RawQuery += "&cursor=" + url.QueryEscape(text)
	b.ReportAllocs()
	for b.Loop() {
		if got, err := c.read(r, 7); err != nil || len(got) != len(p) {
			b.Fatal(got, err)
		}
	}
}

// BenchmarkWeakTag tags a page of 50 findings, some 60 KB.
func BenchmarkWeakTag(b *testing.B) {
	body := bytes.Repeat([]byte("x"), 60_000)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if weakTag(body) == "" {
			b.Fatal()
		}
	}
}
