package syncer

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
)

// spool keeps the judged rows of a run on disk until it is known which assets changed: 28 bytes a row, whatever the row's
// texts were. Rows are dealt into buckets by machine, so that they can be read back in order with no more than one bucket
// in memory: 10 million rows make buckets of 10,000. The file has no name any more once it is open, so that not even a
// killed process leaves it behind.
//
// A spool of changes keeps five bytes more for each row: what became of it, and when.
type spool struct {
	file    *os.File
	end     int64
	width   int32 // machines per bucket
	changes bool
	stride  int // bytes of a row
	chunk   int // bytes of a full buffer
	buckets []bucket

	// Of the bucket being read, used again for the next:
	mixed []spooledRow // as they came
	rows  []spooledRow // by machine
	ends  []int32      // where each machine's rows end
	raw   []byte
}

type bucket struct {
	buf    []byte
	chunks []int64 // where full buffers lie in the file
}

const (
	spoolRow     = 28
	spoolChange  = spoolRow + 5
	spoolBuckets = 1024
	spoolChunk   = 4 << 10 // at most
)

// spooledRow is a row with the machine's index in place of the asset's number, which may not be known yet.
type spooledRow struct {
	machine       int32
	vulnerability int32
	software      int32
	location      int64 // 0 when no path is told
	firstSeen     uint32
	severity      inventory.Severity
	source        inventory.SeveritySource
	vector        inventory.AttackVector
	reason        uint8

	gone      bool   // of a change: the row is in the report no more
	changedAt uint32 // of a change, Unix seconds
}

// newSpool makes a spool in a file for rows, or changes of rows, of so many machines.
func newSpool(f *os.File, machines int, changes bool) *spool {
	width := machines/spoolBuckets + 1
	stride := spoolRow
	if changes {
		stride = spoolChange
	}
	return &spool{
		file: f, width: int32(width), buckets: make([]bucket, machines/width+1),
		changes: changes, stride: stride, chunk: spoolChunk / stride * stride,
	}
}

// unnamedFile opens a file that vanishes with its last descriptor.
func unnamedFile(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "defenderd-spool-*")
	if err != nil {
		return nil, spoolFailed("open a", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("unlink the spool file: %w", err), f.Close())
	}
	return f, nil
}

// fullDiskFor is how long a run waits for room on the disk between its attempts: it begins anew then, and not all of what it had read may be
// kept.
const fullDiskFor = 5 * time.Minute

// spoolFailed says of an error of the spool what was not done. A full disk is no defect: it is the operator's to mend, and the run waits
// for that as long as it has attempts.
func spoolFailed(what string, err error) error {
	err = fmt.Errorf("%s spool file: %w", what, err)
	if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		return err
	}
	return fault.Wrap(err, fault.CodeDiskFull, "")
}

// CheckSpool tells whether runs can keep their rows in dir; empty means the system's temporary directory.
func CheckSpool(dir string) error {
	f, err := unnamedFile(dir)
	if err != nil {
		return err
	}
	return f.Close()
}

func (s *spool) add(r *spooledRow) error {
	b := &s.buckets[r.machine/s.width]
	if b.buf == nil {
		b.buf = make([]byte, 0, s.chunk)
	}
	b.buf = binary.LittleEndian.AppendUint32(b.buf, uint32(r.machine))
	b.buf = binary.LittleEndian.AppendUint32(b.buf, uint32(r.vulnerability))
	b.buf = binary.LittleEndian.AppendUint32(b.buf, uint32(r.software))
	b.buf = binary.LittleEndian.AppendUint64(b.buf, uint64(r.location))
	b.buf = binary.LittleEndian.AppendUint32(b.buf, r.firstSeen)
	b.buf = append(b.buf, byte(r.severity), byte(r.source), byte(r.vector), r.reason)
	if s.changes {
		b.buf = append(binary.LittleEndian.AppendUint32(b.buf, r.changedAt), bit(r.gone))
	}
	if len(b.buf) < s.chunk {
		return nil
	}
	if _, err := s.file.WriteAt(b.buf, s.end); err != nil {
		return spoolFailed("write the", err)
	}
	b.chunks = append(b.chunks, s.end)
	s.end += int64(s.chunk)
	b.buf = b.buf[:0]
	return nil
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// each hands over the rows of the wanted machines, machine by machine, in the order of machines, vulnerabilities and
// software, changes of one row the newest last; machines without rows are left out. The rows are f's until it returns. Nothing can be added afterwards.
func (s *spool) each(wanted func(machine int32) bool, f func(machine int32, rows []spooledRow) error) error {
	for i := range s.buckets {
		if err := s.hand(i, wanted, f); err != nil {
			return err
		}
		s.buckets[i] = bucket{}
	}
	return nil
}

// look is each, but that the rows stay: it may be called before.
func (s *spool) look(wanted func(machine int32) bool, f func(machine int32, rows []spooledRow) error) error {
	for i := range s.buckets {
		if err := s.hand(i, wanted, f); err != nil {
			return err
		}
	}
	return nil
}

// hand hands over the wanted rows of one bucket.
func (s *spool) hand(number int, wanted func(machine int32) bool, f func(machine int32, rows []spooledRow) error) error {
	first := int32(number) * s.width
	if err := s.load(&s.buckets[number], first, wanted); err != nil {
		return fmt.Errorf("read the spool file: %w", err)
	}
	from := int32(0)
	for at, to := range s.ends {
		if from == to {
			continue
		}
		rows := s.rows[from:to]
		slices.SortFunc(rows, spooledRow.compare)
		if err := f(first+int32(at), rows); err != nil {
			return err
		}
		from = to
	}
	return nil
}

// compare orders rows of one machine. Numbers of the database are never negative.
func (r spooledRow) compare(o spooledRow) int {
	a, b := uint64(r.vulnerability)<<32|uint64(r.software), uint64(o.vulnerability)<<32|uint64(o.software)
	if a != b {
		return cmp.Compare(a, b)
	}
	if r.changedAt != o.changedAt {
		return cmp.Compare(r.changedAt, o.changedAt)
	}
	if r.gone != o.gone {
		return cmp.Compare(bit(o.gone), bit(r.gone)) // what is there at the same time outweighs what is gone
	}
	if r.gone && (r.reason == 0) != (o.reason == 0) {
		return cmp.Compare(r.reason, o.reason) // and so does what is there and refused
	}
	return cmp.Compare(r.location, o.location)
}

// load brings the wanted rows of a bucket into memory, those of each machine together. A bucket nobody wants is not read.
func (s *spool) load(b *bucket, first int32, wanted func(machine int32) bool) error {
	s.mixed, s.ends = s.mixed[:0], s.ends[:0]
	any := false
	for at := range s.width {
		s.ends = append(s.ends, 0)
		any = wanted(first+at) || any
	}
	if !any {
		s.rows = s.rows[:0]
		return nil
	}
	if s.raw == nil {
		s.raw = make([]byte, s.chunk)
	}
	for _, at := range b.chunks {
		if _, err := s.file.ReadAt(s.raw, at); err != nil {
			return err
		}
		s.unpack(s.raw, first, wanted)
	}
	s.unpack(b.buf, first, wanted)
	s.deal(first)
	return nil
}

// unpack adds the wanted rows to the mixed ones and counts them by machine.
func (s *spool) unpack(b []byte, first int32, wanted func(machine int32) bool) {
	for ; len(b) >= s.stride; b = b[s.stride:] {
		machine := int32(binary.LittleEndian.Uint32(b))
		if !wanted(machine) {
			continue
		}
		s.ends[machine-first]++
		row := spooledRow{
			machine: machine, vulnerability: int32(binary.LittleEndian.Uint32(b[4:])),
			software: int32(binary.LittleEndian.Uint32(b[8:])), location: int64(binary.LittleEndian.Uint64(b[12:])),
			firstSeen: binary.LittleEndian.Uint32(b[20:]), severity: inventory.Severity(b[24]), source: inventory.SeveritySource(b[25]),
			vector: inventory.AttackVector(b[26]), reason: b[27],
		}
		if s.changes {
			row.changedAt, row.gone = binary.LittleEndian.Uint32(b[28:]), b[32] == 1
		}
		s.mixed = append(s.mixed, row)
	}
}

// deal sorts the mixed rows by machine: the counts become the places where each machine's rows start, and, once they are
// dealt, end.
func (s *spool) deal(first int32) {
	start := int32(0)
	for at, n := range s.ends {
		s.ends[at] = start
		start += n
	}
	s.rows = slices.Grow(s.rows[:0], len(s.mixed))[:len(s.mixed)]
	for i := range s.mixed {
		place := &s.ends[s.mixed[i].machine-first]
		s.rows[*place] = s.mixed[i]
		*place++
	}
}

func (s *spool) close() error { return s.file.Close() }
