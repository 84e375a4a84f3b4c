package api

import (
	"errors"
	"iter"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// Page is one page of a list. NextCursor leads to the next one and is empty on the last.
type Page[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"next_cursor,omitempty"`
}

// mostReserved is how much room is made for a page by its first item: that of a hundred assets or so. The first item may be a thousand
// times as long as the others.
const mostReserved = 256 << 10

// AppendJSON appends the page as [encoding/json] writes it, with "&" and "<" legible; the items as fast as they can.
func (p Page[T]) AppendJSON(to []byte) ([]byte, error) {
	w := jsonWriter{out: to}
	array(&w, `{"items":`, p.Items, func(item *T) {
		if w.item(item); item == &p.Items[0] { // most others will not be much longer
			w.out = slices.Grow(w.out, min((len(w.out)-len(to))*(len(p.Items)-1)*9/8, mostReserved))
		}
	})
	w.someText(`,"next_cursor":`, p.NextCursor)
	w.raw("}")
	return w.out, w.err
}

// PageOptions choose a page. Limit 0 means the server's default of 50; more than 1000 is taken as 1000. A Cursor is only valid with the
// filters and sort it came from, for 24 hours.
type PageOptions struct {
	Limit  int
	Cursor string
}

// list is a list that is not paged.
type list[T any] struct {
	Items []T `json:"items"`
}

// query collects query parameters and leaves out those without a value.
type query struct{ url.Values }

func newQuery() query { return query{url.Values{}} }

func (q query) text(name, value string) {
	if value != "" {
		q.Set(name, value)
	}
}

func (q query) flag(name string, value *bool) {
	if value != nil {
		q.Set(name, strconv.FormatBool(*value))
	}
}

func (q query) time(name string, value time.Time) {
	if !value.IsZero() {
		q.Set(name, value.UTC().Format(time.RFC3339Nano))
	}
}

func (q query) page(o PageOptions) {
	if o.Limit != 0 {
		q.Set("limit", strconv.Itoa(o.Limit))
	}
	q.text("cursor", o.Cursor)
}

// addAll is a function because methods cannot have type parameters of their own.
func addAll[S ~string](q query, name string, values []S) {
	for _, v := range values {
		q.Add(name, string(v))
	}
}

var errCursorRepeats = errors.New("api: the server repeats a cursor")

// walk yields the items of all pages from the first on. After an error, which comes with a zero item, it ends.
func walk[T any](first string, fetch func(cursor string) (*Page[T], error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		for cursor := first; ; {
			page, err := fetch(cursor)
			if err != nil {
				yield(none, err)
				return
			}
			for _, item := range page.Items {
				if !yield(item, nil) {
					return
				}
			}
			if page.NextCursor == "" {
				return
			}
			if page.NextCursor == cursor {
				yield(none, errCursorRepeats)
				return
			}
			cursor = page.NextCursor
		}
	}
}
