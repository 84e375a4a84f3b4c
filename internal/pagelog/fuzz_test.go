package pagelog

import (
	"bytes"
	"testing"
)

// FuzzIndex reads any bytes as an index. Whatever counts of them must lie one behind the other.
func FuzzIndex(f *testing.F) {
	head := `{"run":"r","first":"https://api/rows","snapshot":true,"began":"2026-03-01T10:00:00Z"}` + "\n"
	for _, text := range []string{
		"", "\n", "null\n", head, head + `{"offset":0,"length":3,"next":"b"}` + "\n", head + `{"offset":0,"length":3,"next":"b"}` + "\n" + `{"offset":3,"length":4,"next":""`,
		head + `{"offset":0,"length":-1}` + "\n", head + `{"offset":0,"length":9223372036854775807}` + "\n" + `{"offset":9223372036854775807,"length":1}` + "\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		x, err := parseIndex(text)
		if err != nil {
			return
		}
		if len(x.ends) != len(x.entries)+1 {
			t.Fatalf("%d ends of %d entries", len(x.ends), len(x.entries))
		}
		at, line := int64(0), int64(0)
		for i, e := range x.entries {
			if e.Offset != at || e.Length < 0 || at+e.Length < at {
				t.Errorf("entry %d is at %d with %d bytes, due at %d", i, e.Offset, e.Length, at)
			}
			at += e.Length
		}
		for _, end := range x.ends {
			if end <= line || end > int64(len(text)) || text[end-1] != '\n' {
				t.Errorf("a line ends at %d of %d", end, len(text))
			}
			line = end
		}
		if x.size() != at {
			t.Errorf("size %d, want %d", x.size(), at)
		}
		if again, err := parseIndex(bytes.Clone(text[:line])); err != nil || len(again.entries) != len(x.entries) {
			t.Errorf("cut behind its last line it has %d entries, not %d: %v", len(again.entries), len(x.entries), err)
		}
	})
}
