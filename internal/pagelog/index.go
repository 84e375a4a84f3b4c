package pagelog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"math"
	"os"
	"time"

	"pgp.internal/defender/internal/connector"
)

// A list lies in two files: the bodies of its pages one behind the other, and an index with a header and a line for each
// page. A page counts once its line is there and its body is what was summed up in it. Neither file is synced: after a
// crash of the machine the index may name bytes that are not there, and then the page is read again.
const (
	indexSuffix = ".index"
	bodySuffix  = ".pages"
)

type header struct {
	Run      string    `json:"run"`
	From     string    `json:"from,omitempty"` // the earlier run that had begun it, and could not finish
	First    string    `json:"first"`
	Snapshot bool      `json:"snapshot,omitempty"`
	Part     bool      `json:"part,omitempty"`
	Began    time.Time `json:"began"`
}

type entry struct {
	Offset   int64  `json:"offset"`
	Length   int64  `json:"length"`
	Next     string `json:"next"`
	Encoding string `json:"encoding,omitempty"`
	Sum      uint32 `json:"sum"` // CRC-32C of the body
}

// newSum makes the checksum of a body. It finds out damage before a single record of the page is handed over: the body's own
// checksum, where it has one, lies at its end.
func newSum() hash.Hash32 { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }

// intact tells whether the body of an entry is the one that was kept.
func (e entry) intact(bodies io.ReaderAt) bool {
	sum := newSum()
	n, err := io.Copy(sum, io.NewSectionReader(bodies, e.Offset, e.Length))
	return err == nil && n == e.Length && sum.Sum32() == e.Sum
}

// index is what an index file says, up to the first line that is not whole.
type index struct {
	header
	entries []entry
	ends    []int64 // by entry: where its line begins; one more: where the last line ends
}

func readIndex(path string) (index, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return index{}, fmt.Errorf("pagelog: %w", err)
	}
	return parseIndex(text)
}

// parseIndex reads what may be any bytes: the file has seen crashes.
func parseIndex(text []byte) (x index, err error) {
	at, end := int64(0), int64(0)
	for line := range bytes.Lines(text) {
		if line[len(line)-1] != '\n' {
			break
		}
		if at == 0 {
			if err := json.Unmarshal(line, &x.header); err != nil {
				return x, fmt.Errorf("pagelog: an index without a header: %w", err)
			}
		} else {
			var e entry
			if json.Unmarshal(line, &e) != nil || e.Offset != end || e.Length < 0 || e.Length > math.MaxInt64-end {
				break
			}
			x.entries, end = append(x.entries, e), end+e.Length
		}
		at += int64(len(line))
		x.ends = append(x.ends, at)
	}
	if len(x.ends) == 0 {
		return x, errors.New("pagelog: an index without a header")
	}
	return x, nil
}

// finished tells whether the list was read to its end.
func (x *index) finished() bool {
	return len(x.entries) > 0 && x.entries[len(x.entries)-1].Next == ""
}

// size is where the bodies of the pages that count end.
func (x *index) size() int64 {
	if len(x.entries) == 0 {
		return 0
	}
	last := x.entries[len(x.entries)-1]
	return last.Offset + last.Length
}

// page is a body on its way into the log.
type page struct {
	log        *Log
	list       string
	file       *os.File
	start, end int64
	sum        hash.Hash32
	failed     error
}

// Begin implements [connector.PageLog].
func (l *Log) Begin(p connector.PageList) (connector.PageBody, error) {
	known, err := readIndex(l.path(p.Name, indexSuffix))
	if err != nil || known.First != p.First {
		known = index{}
		err = errors.Join(l.drop(p.Name), l.appendLine(p.Name, header{Run: l.run, First: p.First, Snapshot: p.Snapshot, Part: p.Part, Began: l.now()}))
	} else {
		err = l.truncate(p.Name, known.ends[len(known.ends)-1])
	}
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(l.path(p.Name, bodySuffix), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("pagelog: %w", err)
	}
	return &page{log: l, list: p.Name, file: f, start: known.size(), end: known.size(), sum: newSum()}, nil
}

func (l *Log) appendLine(list string, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("pagelog: %w", err)
	}
	f, err := os.OpenFile(l.path(list, indexSuffix), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("pagelog: %w", err)
	}
	_, err = f.Write(append(line, '\n'))
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("pagelog: %w", err)
	}
	return nil
}

// Write takes in a piece of the body. It never fails, so that a full disk does not fail the run; Keep tells.
func (p *page) Write(b []byte) (int, error) {
	if p.failed == nil {
		var n int
		n, p.failed = p.file.WriteAt(b, p.end)
		p.end += int64(n)
		_, _ = p.sum.Write(b[:n]) // never fails
	}
	return len(b), nil
}

// Again implements [connector.PageBody].
func (p *page) Again() {
	p.end = p.start
	p.sum.Reset()
}

// Keep implements [connector.PageBody].
func (p *page) Keep(next, encoding string) error {
	if err := errors.Join(p.failed, p.file.Close()); err != nil {
		return fmt.Errorf("pagelog: %w", err)
	}
	return p.log.appendLine(p.list, entry{Offset: p.start, Length: p.end - p.start, Next: next, Encoding: encoding, Sum: p.sum.Sum32()})
}

// Discard implements [connector.PageBody].
func (p *page) Discard() { _ = p.file.Close() } // what was written is behind the last page that counts
