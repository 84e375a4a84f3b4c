package seal

import (
	"bytes"
	"encoding/base64"
	"testing"
)

func TestDerive(t *testing.T) {
	t.Parallel()
	first, second := NewKey().Reveal(), NewKey().Reveal()
	ring := mustRing(t, first)
	cursor := ring.Derive("cursor")
	if len(cursor) != derivedSize {
		t.Fatalf("%d bytes", len(cursor))
	}
	if !bytes.Equal(cursor, mustRing(t, first+"\n"+second).Derive("cursor")) {
		t.Error("another secret although the primary key is the same")
	}
	for name, other := range map[string][]byte{
		"another label":       ring.Derive("etag"),
		"another primary key": mustRing(t, second+"\n"+first).Derive("cursor"),
		"the key itself":      keyBytes(t, first),
	} {
		if bytes.Equal(cursor, other) {
			t.Errorf("%s gives the same secret", name)
		}
	}
}

func TestCheckValuesOfEachKey(t *testing.T) {
	t.Parallel()
	first, second := NewKey().Reveal(), NewKey().Reveal()
	ring := mustRing(t, first+"\n"+second)
	boxes := ring.CheckValues()
	for i, id := range ring.IDs() {
		if boxes[i].KeyID() != id {
			t.Errorf("box %d is of key %q, not %q", i, boxes[i].KeyID(), id)
		}
		if err := ring.VerifyCheck(boxes[i]); err != nil {
			t.Error(err)
		}
	}
	if err := mustRing(t, first).VerifyCheck(boxes[1]); err == nil {
		t.Error("a check value opened without its key")
	}
}

func mustRing(t *testing.T, text string) *Ring {
	t.Helper()
	ring, err := ParseRing(text)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func keyBytes(t *testing.T, line string) []byte {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(line[bytes.IndexByte([]byte(line), ':')+1:])
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestDeriveEachKnowsEveryKey(t *testing.T) {
	t.Parallel()
	one, two := NewKey().Reveal(), NewKey().Reveal()
	old, ring := mustRing(t, one), mustRing(t, two+"\n"+one)
	each := ring.DeriveEach("audit")
	if len(each) != 2 || !bytes.Equal(each[old.IDs()[0]], old.Derive("audit")) || !bytes.Equal(each[ring.IDs()[0]], ring.Derive("audit")) {
		t.Error("what an earlier primary key derived is not found again")
	}
}
