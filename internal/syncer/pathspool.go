package syncer

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"
)

// pathSpool keeps where software sits on machines, for the same reasons as [spool]. A machine × software that follows
// itself, as rows mostly do, is written once.
type pathSpool struct {
	file    *os.File
	out     *bufio.Writer
	scratch []byte
	records int64

	last fnv // of what was written last
}

func newPathSpool(dir string) (*pathSpool, error) {
	f, err := unnamedFile(dir)
	if err != nil {
		return nil, err
	}
	return &pathSpool{file: f, out: bufio.NewWriterSize(f, 256<<10)}, nil
}

func (s *pathSpool) add(machine, software int32, disk, registry []string) error {
	if len(disk) == 0 && len(registry) == 0 {
		return nil
	}
	sum := newFNV().int(machine).int(software).list(disk).list(registry)
	if sum == s.last {
		return nil
	}
	s.last = sum
	b := binary.AppendUvarint(s.scratch[:0], uint64(machine))
	b = binary.AppendUvarint(b, uint64(software))
	for _, list := range [2][]string{disk, registry} {
		b = binary.AppendUvarint(b, uint64(len(list)))
		for _, path := range list {
			b = binary.AppendUvarint(b, uint64(len(path)))
			b = append(b, path...)
		}
	}
	s.scratch = b
	s.records++
	_, err := s.out.Write(b)
	return err
}

// each reads everything back; the slices are f's to keep.
func (s *pathSpool) each(f func(machine, software int32, disk, registry []string) error) error {
	if err := s.out.Flush(); err != nil {
		return fmt.Errorf("write the spool file: %w", err)
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	in := &pathReader{in: bufio.NewReaderSize(s.file, 256<<10)}
	for range s.records {
		machine, software := in.number(), in.number()
		disk, registry := in.list(), in.list()
		if in.err != nil {
			return fmt.Errorf("read the spool file: %w", in.err)
		}
		if err := f(int32(machine), int32(software), disk, registry); err != nil {
			return err
		}
	}
	return nil
}

func (s *pathSpool) close() error { return s.file.Close() }

// pathReader reads what add wrote and remembers the first error.
type pathReader struct {
	in  *bufio.Reader
	err error
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
