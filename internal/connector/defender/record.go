package defender

import (
	"errors"
)

// fields maps the lower-case names of a record's properties to what reads them. Names are compared without case: the
// same data comes in camelCase from the API and in PascalCase in exports.
type fields[T any] map[string]func(*scanner, *T)

// record reads JSON objects into T. Since records of a list mostly have the same properties in the same order, the
// reader found for a property is tried first at the same place of the next record.
type record[T any] struct {
	fields fields[T]
	places []place[T]
}

type place[T any] struct {
	name []byte // as written, with quotes and colon
	read func(*scanner, *T)
}

const (
	maxPlaces = 64
	maxName   = 64
)

// read fills into from the next value. It reports false when that is no object; the value is skipped then.
func (r *record[T]) read(s *scanner, into *T) bool {
	if !s.open('{') {
		return false
	}
	for i := 0; s.more('}'); i++ {
		if set := r.next(s, i); set != nil {
			set(s, into)
		} else {
			s.skip()
		}
	}
	return s.err == nil
}

// next reads the name of property number i and gives its reader; nil for a property to skip.
func (r *record[T]) next(s *scanner, i int) func(*scanner, *T) {
	if i < len(r.places) && s.matches(r.places[i].name) {
		return r.places[i].read
	}
	name := s.name()
	read := r.fields.find(name)
	if i < maxPlaces && len(name) > 0 && len(name) <= maxName {
		for len(r.places) <= i {
			r.places = append(r.places, place[T]{})
		}
		r.places[i].name, r.places[i].read = append(append(r.places[i].name[:0], name...), ':'), read
	}
	s.colon()
	return read
}

// find looks a quoted name up. No known name needs escapes or is longer than maxName.
func (f fields[T]) find(name []byte) func(*scanner, *T) {
	if len(name) < 2 || len(name) > maxName {
		return nil
	}
	var lower [maxName]byte
	n := copy(lower[:], name[1:len(name)-1])
	for i, c := range lower[:n] {
		if c >= 'A' && c <= 'Z' {
			lower[i] = c + 'a' - 'A'
		}
	}
	return f[string(lower[:n])]
}

// envelope is a page: the list under "value", in any order with its next link.
type envelope struct {
	next  string
	odd   bool  // the next link is no text
	found bool  // there was a list
	stop  error // of the item function
}

// list reads a whole page and calls item for each element of its list. The next link is only returned if the document
// ended where it should; a page without a list is broken, since "nothing" is written as an empty list.
func (s *scanner) list(b *body, item func() error) (next string, err error) {
	s.reset(b, b.maxToken)
	page := record[envelope]{fields: fields[envelope]{
		"value":           func(s *scanner, e *envelope) { e.items(s, item) },
		"@odata.nextlink": func(s *scanner, e *envelope) { e.next, e.odd = s.link() },
	}}
	var e envelope
	whole := page.read(s, &e)
	switch {
	case e.stop != nil:
		return "", e.stop
	case s.err != nil:
		return "", s.broken()
	case !whole || !e.found || e.odd:
		return "", malformed(errNoList, "Microsoft's answer does not contain the list that was asked for.", true)
	}
	if !s.finished() {
		s.err = errTrailing
		return "", s.broken()
	}
	return e.next, nil
}

// lines reads objects, one a line, to the end of the body and calls item for each. One that is no JSON ends with its line, and counts as
// one that item could not read; a body of nothing else is broken.
func (s *scanner) lines(b *body, item func() error) error {
	whole, broken := false, false
	s.reset(b, b.maxToken)
	for s.lined = true; !s.finished(); {
		if s.err != nil {
			return s.broken()
		}
		if err := item(); err != nil {
			return err
		}
		switch {
		case s.err == nil:
			whole = true
		case !s.nextLine():
			return s.broken()
		default:
			broken = true
		}
	}
	if broken && !whole {
		return s.broken()
	}
	return nil
}

var (
	errNoList   = errors.New("no list in the answer")
	errTrailing = errors.New("data after the document")
)

// link reads a next link. One that is there but no text is odd: taking it for the end would lose the rest of the list.
func (s *scanner) link() (next string, odd bool) {
	switch s.peek() {
	case '"':
		return s.text(maxLink + 1), false
	case 'n':
		s.skip()
		return "", false
	}
	s.skip()
	return "", true
}

func (e *envelope) items(s *scanner, item func() error) {
	if !s.open('[') {
		return
	}
	e.found = true
	for s.more(']') {
		if e.stop = item(); e.stop != nil {
			s.fail(e.stop)
			return
		}
	}
}
