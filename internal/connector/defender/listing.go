package defender

// listing reads pages of a list whose order is not fixed: each page is decoded whole before anything of it is handed
// over, so that a page that has to be read again leaves nothing behind. A page of Microsoft's is at most 10,000 records
// or about 15 MB; Pages.MaxListBytes bounds it in any case.
type listing[T any] struct {
	scan      *scanner
	record    record[T]
	blank     T             // what a record starts as
	keep      func(*T) bool // false: the record has no readable key
	yield     func([]T) error
	batch     int
	page      []T
	malformed int
	report    func(malformed int)
}

func (l *listing[T]) read(b *body) (string, int, error) {
	l.page, l.malformed = l.page[:0], 0
	next, err := l.scan.list(b, func() error {
		l.page = append(l.page, l.blank)
		into := &l.page[len(l.page)-1]
		if !l.record.read(l.scan, into) || !l.keep(into) {
			l.page = l.page[:len(l.page)-1]
			l.malformed++
		}
		return nil
	})
	return next, len(l.page) + l.malformed, err
}

func (l *listing[T]) commit() error {
	if l.malformed > 0 {
		l.report(l.malformed)
	}
	for rest := l.page; len(rest) > 0; {
		n := min(l.batch, len(rest))
		if err := l.yield(rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}
