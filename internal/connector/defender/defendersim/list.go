package defendersim

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// listWriter streams an OData collection. Write errors end the answer: the client has gone.
type listWriter struct {
	w    http.ResponseWriter
	buf  []byte
	rows int
	err  error
}

const flushAt = 64 << 10

// begin writes the envelope up to the first row. A count of -1 leaves @odata.count out.
func (s *Simulator) begin(w http.ResponseWriter, c *apiCall, context string, count int) *listWriter {
	apiHeaders(w.Header())
	w.WriteHeader(http.StatusOK)
	l := &listWriter{w: w, buf: make([]byte, 0, 4096)}
	l.buf = append(l.buf, `{"@odata.context":`...)
	l.buf = strconv.AppendQuote(l.buf, c.base+"/api/$metadata#"+context)
	if count >= 0 {
		l.buf = append(l.buf, `,"@odata.count":`...)
		l.buf = strconv.AppendInt(l.buf, int64(count), 10)
	}
	if s.switches().ExtraFields {
		l.buf = append(l.buf, `,"@odata.simulated":{"n":[1,2,{"a":null}]}`...)
	}
	l.buf = append(l.buf, `,"value":[`...)
	return l
}

// row starts a row: appendTo adds it to the buffer.
func (l *listWriter) row(appendTo func([]byte) []byte) bool {
	if l.rows > 0 {
		l.buf = append(l.buf, ',')
	}
	l.rows++
	l.buf = appendTo(l.buf)
	if len(l.buf) >= flushAt {
		l.flush()
	}
	return l.err == nil
}

func (l *listWriter) flush() {
	if l.err == nil {
		_, l.err = l.w.Write(l.buf)
	}
	l.buf = l.buf[:0]
}

func (l *listWriter) end(nextLink string) {
	l.buf = append(l.buf, ']')
	if nextLink != "" {
		l.buf = append(l.buf, `,"@odata.nextLink":`...)
		l.buf = strconv.AppendQuote(l.buf, nextLink)
	}
	l.buf = append(l.buf, '}')
	l.flush()
}

// closeObject ends a record, with a property nobody knows when asked for.
func (s *Simulator) closeObject(b []byte) []byte {
	if s.switches().ExtraFields {
		b = append(b, `,"simulatedProperty":{"nested":["x",1.5,null]}`...)
	}
	return append(b, '}')
}

// window is the part of a collection that one answer holds.
type window struct {
	skip, size int
	beyond     bool // a record lies after it
}

// admit takes the next record of the collection and tells whether it belongs to the window.
func (w *window) admit() bool {
	switch {
	case w.skip > 0:
		w.skip--
		return false
	case w.size == 0:
		w.beyond = true
		return false
	}
	w.size--
	return true
}

// next is the link to the page after a window of so many rows; "" when nothing lies there or $top was asked for.
func (c *apiCall) next(w window, size int, linked bool) string {
	if !w.beyond || !linked {
		return ""
	}
	return c.skipLink(c.params.skip + size)
}

// skipLink is the link to the next page of a plain collection: the same request with another $skip.
func (c *apiCall) skipLink(skip int) string {
	var parts []string
	if c.params.filter != "" {
		parts = append(parts, "$filter="+strings.ReplaceAll(url.QueryEscape(c.params.filter), "+", "%20"))
	}
	return c.base + c.path + "?" + strings.Join(append(parts, "$skip="+strconv.Itoa(skip)), "&")
}
