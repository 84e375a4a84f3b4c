package syncer

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"io"
	"os"

	"pgp.internal/defender/internal/inventory"
)

// locations numbers the sets of paths a run meets and keeps their texts on disk, for the same reasons as [spool]. Most
// machines have a software in the same places, so a set is written once, or now and then again: at most maxLocations are
// remembered at a time, 32 bytes each.
type locations struct {
	file    *os.File
	out     *bufio.Writer
	scratch []byte
	records int64

	seed  maphash.Seed
	known map[uint64]int64 // by a hash of this process, which is quicker than the digest
}

const maxLocations = 1 << 20

// neededPlaces are the numbers of places that changed assets refer to. Beyond maxLocations they are not told apart any more: all that were met are
// needed then, each as often as it was written.
type neededPlaces struct {
	ids map[int64]struct{}
	all bool
}

func (n *neededPlaces) add(id int64) {
	if _, known := n.ids[id]; known || n.all {
		return
	}
	switch len(n.ids) {
	case 0:
		n.ids = map[int64]struct{}{}
	case maxLocations:
		n.ids, n.all = nil, true
		return
	}
	n.ids[id] = struct{}{}
}

// take tells whether a place is needed; once for each, as long as they are told apart.
func (n *neededPlaces) take(id int64) bool {
	if _, needed := n.ids[id]; needed {
		delete(n.ids, id)
		return true
	}
	return n.all
}

func newLocations(f *os.File) *locations {
	return &locations{file: f, out: bufio.NewWriterSize(f, 64<<10), seed: maphash.MakeSeed(), known: map[uint64]int64{}}
}

// number gives the set of a row's paths its number, the same in every run and never 0; 0 stands for a row without paths.
func (l *locations) number(r *inventory.Row) (int64, error) {
	if len(r.DiskPaths) == 0 && len(r.RegistryPaths) == 0 {
		return 0, nil
	}
	h := uint64(len(r.DiskPaths))
	for _, list := range [2][]string{r.DiskPaths, r.RegistryPaths} {
		for _, path := range list {
			h = h*0x9E3779B97F4A7C15 + maphash.String(l.seed, path)
		}
	}
	if id, ok := l.known[h]; ok {
		return id, nil
	}
	if len(l.known) == maxLocations {
		clear(l.known)
	}
	id, err := l.write(r)
	l.known[h] = id
	return id, err
}

// write appends the set to the file behind its number: the first half of a digest over all its paths.
func (l *locations) write(r *inventory.Row) (int64, error) {
	b := append(l.scratch[:0], make([]byte, 8)...)
	for _, list := range [2][]string{r.DiskPaths, r.RegistryPaths} {
		b = binary.AppendUvarint(b, uint64(len(list)))
		for _, path := range list {
			b = binary.AppendUvarint(b, uint64(len(path)))
			b = append(b, path...)
		}
	}
	sum := sha256.Sum256(b[8:])
	id := int64(max(1, binary.LittleEndian.Uint64(sum[:])))
	binary.LittleEndian.PutUint64(b, uint64(id))
	l.scratch = b
	l.records++
	if _, err := l.out.Write(b); err != nil {
		return 0, spoolFailed("write the", err)
	}
	return id, nil
}

// each reads everything back, a set possibly more than once; the slices are f's to keep.
func (l *locations) each(f func(StagedLocation) error) error {
	if err := l.out.Flush(); err != nil {
		return spoolFailed("write the", err)
	}
	if _, err := l.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	in := &pathReader{in: bufio.NewReaderSize(l.file, 64<<10)}
	for range l.records {
		location := StagedLocation{ID: in.id(), DiskPaths: in.list(), RegistryPaths: in.list()}
		if in.err != nil {
			return fmt.Errorf("read the spool file: %w", in.err)
		}
		if err := f(location); err != nil {
			return err
		}
	}
	return nil
}

func (l *locations) close() error { return l.file.Close() }

// pathReader reads what write wrote and remembers the first error.
type pathReader struct {
	in  *bufio.Reader
	err error
}

func (r *pathReader) id() int64 {
	var b [8]byte
	if r.err == nil {
		_, r.err = io.ReadFull(r.in, b[:])
	}
	return int64(binary.LittleEndian.Uint64(b[:]))
}

func (r *pathReader) number() uint64 {
	if r.err != nil {
		return 0
	}
	n, err := binary.ReadUvarint(r.in)
	r.err = err
	return n
}

func (r *pathReader) list() []string {
	n := r.number()
	if r.err != nil || n == 0 {
		return nil
	}
	list := make([]string, 0, n)
	for range n {
		b := make([]byte, r.number())
		if r.err == nil {
			_, r.err = io.ReadFull(r.in, b)
		}
		list = append(list, string(b))
	}
	return list
}
