package world

import (
	"bytes"
	"strings"
)

// FileRows writes part n of so many of the rows, one JSON object a line with the property names of export files, in
// chunks. The parts together hold every row once; a part without rows is empty.
func (s *State) FileRows(n, parts int, write func([]byte) error) error {
	w := fileWriter{rowWriter: rowWriter{cat: s.cat, w: s.w}, known: map[row][2][]byte{}}
	var rows []row
	out := make([]byte, 0, chunk+4096)
	for place := s.rowPlaces() * n / parts; place < s.rowPlaces()*(n+1)/parts; place++ {
		pos := s.at(place)
		if rows = s.rows(pos, rows[:0]); len(rows) == 0 {
			continue
		}
		m := s.machine(pos)
		w.machine(pos, &m)
		for _, r := range rows {
			out = append(w.append(out, r), '\n')
			if len(out) < chunk {
				continue
			}
			if err := write(out); err != nil {
				return err
			}
			out = out[:0]
		}
	}
	return flush(out, write)
}

// fileWriter renders rows as files have them: with other names, without the member for paths that every second product
// lacks, and with the batch of updates that fixes the vulnerability where there is one.
type fileWriter struct {
	rowWriter
	group, end []byte            // the machine's members
	known      map[row][2][]byte // by row without its machine: the members of software and vulnerability
}

// knownMost bounds what a writer remembers.
const knownMost = 20_000

func (w *fileWriter) machine(pos int, m *Machine) {
	w.rowWriter.machine(pos, m)
	w.group, w.end = appendRenamed(w.group[:0], w.members, false), appendRenamed(w.end[:0], w.tail, false)
}

func (w *fileWriter) append(b []byte, r row) []byte {
	same := r
	same.flags &^= flagUpperDevice
	parts, ok := w.known[same]
	if !ok {
		if len(w.known) >= knownMost {
			clear(w.known)
		}
		parts = w.parts(r)
		w.known[same] = parts
	}
	device := w.device(r)
	b = appendRowID(append(b, `{"Id":"`...), device, &w.cat.software[r.software], w.cat, r)
	b = append(append(b, `","DeviceId":"`...), device...)
	b = append(append(b, '"'), w.group...)
	b = append(append(b, parts[0]...), `,"FirstSeenTimestamp":"`...)
	b = append(append(b, w.firstSeen(r.cve)...), '"')
	return append(append(append(b, w.end...), parts[1]...), '}')
}

// parts renders what rows of different machines share: software and vulnerability, and the batch of updates.
func (w *fileWriter) parts(r row) [2][]byte {
	shared := appendRenamed(nil, w.cat.software[r.software].exportMembers(r), r.software/versionsPerProduct%2 == 0)
	shared = appendRenamed(shared, w.vulnerability(r), false)
	var fix []byte
	if r.cve != noCVE {
		if kb := w.cat.brief(r.cve).KB; kb != "" {
			fix = appendKey(fix, ',', "CveBatchTitle", "Microsoft security updates, KB"+kb)
			fix = appendKey(fix, ',', "CveBatchUrl", "https://support.microsoft.com/help/"+kb)
		}
	}
	return [2][]byte{shared, fix}
}

// fileNames are the property names of files that are not those of the JSON answers with a capital.
var fileNames = map[string]string{"osPlatform": "OSPlatform", "osVersion": "OSVersion", "osArchitecture": "OSArchitecture"}

// appendRenamed appends members under the names they have in files, if asked without paths that are empty.
func appendRenamed(b, list []byte, withoutPaths bool) []byte {
	for name, value := range members(list) {
		if withoutPaths && strings.HasSuffix(string(name), "Paths") && string(value) == "[]" {
			continue
		}
		b = append(b, ',', '"')
		if special := fileNames[string(name)]; special != "" {
			b = append(b, special...)
		} else {
			b = append(append(b, name[0]-'a'+'A'), name[1:]...)
		}
		b = append(append(b, '"', ':'), value...)
	}
	return b
}

// members yields names and values of a list of members that begins with a comma and holds no objects.
func members(list []byte) func(yield func(name, value []byte) bool) {
	return func(yield func(name, value []byte) bool) {
		rest := list[1:]
		for len(rest) > 1 {
			nameEnd := 1 + bytes.IndexByte(rest[1:], '"')
			name := rest[1:nameEnd]
			rest = rest[nameEnd+2:]
			end := valueEnd(rest)
			if !yield(name, rest[:end]) {
				return
			}
			rest = rest[min(end+1, len(rest)):]
		}
	}
}

// valueEnd finds the comma or brace after a text, a number, a word or a list of texts.
func valueEnd(b []byte) int {
	inText, inList := false, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case inText && c == '\\':
			i++
		case c == '"':
			inText = !inText
		case inText:
		case c == '[':
			inList = true
		case c == ']':
			inList = false
		case (c == ',' && !inList) || c == '}':
			return i
		}
	}
	return len(b)
}
