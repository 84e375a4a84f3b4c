package defender

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"pgp.internal/defender/internal/inventory"
)

// pieces hands out n bytes at a time.
type pieces struct {
	left []byte
	n    int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.left[:min(p.n, len(p.left))])
	p.left = p.left[n:]
	return n, nil
}

func scannerOver(r io.Reader, limit int64) *scanner {
	s := newScanner()
	s.reset(r, limit)
	return s
}

// tree reads any value the way encoding/json gives it to an any.
func tree(s *scanner) any {
	switch s.peek() {
	case '{':
		object := map[string]any{}
		for s.open('{'); s.more('}'); {
			name := s.name()
			if name == nil {
				break
			}
			key := s.clean(name, 1<<20)
			s.colon()
			object[key] = tree(s)
		}
		return object
	case '[':
		array := []any{}
		for s.open('['); s.more(']'); {
			array = append(array, tree(s))
		}
		return array
	}
	v := s.scalar()
	switch {
	case len(v) == 0 || v[0] == 'n':
		return nil
	case v[0] == '"':
		return s.clean(v, 1<<20)
	case v[0] == 't' || v[0] == 'f':
		return v[0] == 't'
	}
	return json.Number(v)
}

func yardstick(t *testing.T, text []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func FuzzLexerAgainstEncodingJSON(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,-0.5e+3,true,false,null,"x\u00e9\ud83d\ude00\ud800\"\\"],"b":{}}`, `[1,]`, `{"a":1,}`, `[01]`, `[1.]`, `["\x"]`, "[\"\xff\xed\xa0\x80\"]",
		"[\"a\tb\"]", `{"a" : "b" , "a":2}`, `"\ud800\ud800\udc00"`, `[nul]`, `[-]`, `[1e]`, `{"a"}`, `{1:2}`, `[}`, `"\u00`, `12345678"1234567\n`, "[\x00]",
	} {
		f.Add([]byte(seed), uint8(3))
	}
	f.Fuzz(func(t *testing.T, value []byte, size uint8) {
		// In a list, since a number alone cannot be told from one that was cut.
		text := append(append([]byte("["), value...), ']')
		read := func() io.Reader { return &pieces{left: text, n: int(size) + 1} }
		s := scannerOver(read(), 1<<20)
		s.skip()
		if accepted := s.finished(); accepted != json.Valid(text) {
			t.Fatalf("accepted: %t of %q, %v", accepted, text, s.err)
		}
		if !json.Valid(text) || bytes.Contains(text, []byte(`\u0000`)) { // NUL is not kept
			return
		}
		s = scannerOver(read(), 1<<20)
		if got, want := tree(s), yardstick(t, text); !reflect.DeepEqual(got, want) || !s.finished() {
			t.Fatalf("%q:\ngot  %#v\nwant %#v", text, got, want)
		}
	})
}

func TestRowsDoNotDependOnWhereThePiecesEnd(t *testing.T) {
	t.Parallel()
	page := samplePage(t, 60, "next")
	want, _, _, err := readRows(t, page)
	if err != nil || len(want) != 60 {
		t.Fatal(len(want), err)
	}
	for _, n := range []int{1, 2, 3, 7, 64, 911} {
		p := newRowPages(1000, func(got []inventory.Row) error {
			for i := range got {
				if !reflect.DeepEqual(got[i], want[i]) {
					t.Errorf("pieces of %d, row %d:\ngot  %+v\nwant %+v", n, i, got[i], want[i])
				}
			}
			return nil
		})
		next, count, err := p.read(bodyOf(t, &pieces{left: page, n: n}))
		if consumed := p.relay.end(); consumed != nil {
			t.Error(consumed)
		}
		if err != nil || next != "next" || count != 60 {
			t.Errorf("pieces of %d: %d rows, next %q, %v", n, count, next, err)
		}
	}
}

func TestEveryCutIsNoticed(t *testing.T) {
	t.Parallel()
	page := []byte(`{"@odata.context":"x","value":[{"deviceId":"é\u00e9","cvssScore":-1.5e3,"a":[true,null,{"b":[]}]}],"@odata.nextLink":"n"}`)
	for n := 1; n < len(page); n++ {
		s := scannerOver(&pieces{left: page[:n], n: 5}, 1<<20)
		if s.skip(); !errors.Is(s.err, io.ErrUnexpectedEOF) {
			t.Errorf("cut after %q: %v", page[:n], s.err)
		}
	}
}

func TestTheReadersErrorIsKept(t *testing.T) {
	t.Parallel()
	gone := errors.New("gone")
	s := scannerOver(io.MultiReader(strings.NewReader(`{"value":[{"id":"12`), iotest.ErrReader(gone)), 1<<20)
	if s.skip(); s.err != gone {
		t.Fatal(s.err)
	}
}

func TestTokensAreBounded(t *testing.T) {
	t.Parallel()
	token := `"` + strings.Repeat("a", 300_000) + `"`
	many := "[" + strings.Repeat(token+",", 20) + "1]"
	s := scannerOver(strings.NewReader(many), 400_000)
	if s.skip(); !s.finished() || len(s.buf) > 1<<20 {
		t.Errorf("a long document of tokens within the limit: %v, buffer of %d", s.err, len(s.buf))
	}
	s = scannerOver(strings.NewReader(many), 200_000)
	if s.skip(); s.err != errTooLarge {
		t.Errorf("a token over the limit: %v", s.err)
	}
	for depth, want := range map[int]error{maxDepth: nil, maxDepth + 1: errDeep} {
		s = scannerOver(strings.NewReader(strings.Repeat("[", depth)+strings.Repeat("]", depth)), 1<<20)
		if s.skip(); s.err != want {
			t.Errorf("depth %d: %v", depth, s.err)
		}
	}
}

func TestALongIDIsNotCut(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		strings.Repeat("a", maxID): strings.Repeat("a", maxID), strings.Repeat("a", maxID-1) + "€": "", strings.Repeat("a", maxID-3) + "😀": "",
	} {
		page := `{"value":[{"deviceId":"` + text + `","id":"` + text + `"}]}`
		if rows, _, _, err := readRows(t, []byte(page)); err != nil || rows[0].MachineID != want {
			t.Errorf("row of %q: %q, %v", text, rows[0].MachineID, err)
		}
		if machines, _, err := readMachines(t, page); err != nil || machines[0].SourceID != want {
			t.Errorf("machine %q: %q, %v", text, machines[0].SourceID, err)
		}
	}
}
