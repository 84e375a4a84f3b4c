package world

import (
	"bytes"
	"strings"
)

// FileRows writes part n of so many of the rows, one JSON object a line with the property names of export files, in
// chunks. The parts together hold every row once; a part without rows is empty.
func (s *State) FileRows(n, parts int, write func([]byte) error) error {
	rw := rowWriter{cat: s.cat, w: s.w}
	var rows []row
	var one []byte
	out := make([]byte, 0, chunk+4096)
	for place := s.rowPlaces() * n / parts; place < s.rowPlaces()*(n+1)/parts; place++ {
		pos := s.at(place)
		if rows = s.rows(pos, rows[:0]); len(rows) == 0 {
			continue
		}
		m := s.machine(pos)
		rw.machine(pos, &m)
		for _, r := range rows {
			one = rw.appendExport(one[:0], r)
			out = append(appendFileRow(out, one, s.cat, r), '\n')
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

// fileNames are the property names of files that are not those of the JSON answers with a capital.
var fileNames = map[string]string{"osPlatform": "OSPlatform", "osVersion": "OSVersion", "osArchitecture": "OSArchitecture"}

var noPaths = []byte("[]")

// appendFileRow turns a row of the JSON answer into one of a file: other names, no member for paths that every second
// product lacks, and the batch of updates that fixes the vulnerability where there is one.
func appendFileRow(b, record []byte, c *Catalogue, r row) []byte {
	b = append(b, '{')
	first := true
	for name, value := range members(record) {
		if strings.HasSuffix(string(name), "Paths") && bytes.Equal(value, noPaths) && r.software/versionsPerProduct%2 == 0 {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, '"')
		if special := fileNames[string(name)]; special != "" {
			b = append(b, special...)
		} else {
			b = append(append(b, name[0]-'a'+'A'), name[1:]...)
		}
		b = append(append(b, '"', ':'), value...)
	}
	if r.cve != noCVE {
		if kb := c.brief(r.cve).KB; kb != "" {
			b = appendKey(b, ',', "CveBatchTitle", "Microsoft security updates, KB"+kb)
			b = appendKey(b, ',', "CveBatchUrl", "https://support.microsoft.com/help/"+kb)
		}
	}
	return append(b, '}')
}

// members yields names and values of an object whose values hold no objects, as the rows here are.
func members(record []byte) func(yield func(name, value []byte) bool) {
	return func(yield func(name, value []byte) bool) {
		rest := record[1:]
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
