package seal

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func newDataKey(t testing.TB, number int) DataKey {
	t.Helper()
	k, err := NewDataKey(number, NewDataKeySecret())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestDataKeySealsAnew seals one text 10,000 times, which gives as many nonces and boxes, all of which open.
func TestDataKeySealsAnew(t *testing.T) {
	t.Parallel()
	k := newDataKey(t, 12)
	nonces, boxes := map[string]bool{}, map[string]bool{}
	for range 10_000 {
		box, err := k.Seal(NewSecret(canary), place)
		if err != nil {
			t.Fatal(err)
		}
		start := 2 + len("12")
		nonces[string(box[start:start+12])], boxes[string(box)] = true, true
		if got, err := k.Open(box, place); err != nil || got.Reveal() != canary {
			t.Fatal(err)
		}
	}
	if len(nonces) != 10_000 || len(boxes) != 10_000 {
		t.Errorf("%d nonces and %d boxes in 10000 seals", len(nonces), len(boxes))
	}
}

// TestDataKeyNoticesDamage holds that any bit turned and any cut makes a box unreadable, by any key, and none panics.
func TestDataKeyNoticesDamage(t *testing.T) {
	t.Parallel()
	k, other, ring := newDataKey(t, 1), newDataKey(t, 1), newRing(t, "1:"+strings.SplitN(NewKey().Reveal(), ":", 2)[1])
	box, err := k.Seal(NewSecret(canary), place)
	if err != nil {
		t.Fatal(err)
	}
	try := func(what string, damaged Box, binding string, open func(Box, string) (Secret, error)) {
		if got, err := open(damaged, binding); !errors.Is(err, ErrUnreadable) && !errors.Is(err, ErrUnknownKey) || !got.IsZero() {
			t.Errorf("%s: %v", what, err)
		}
		_, _ = damaged.DataKeyNumber(), damaged.KeyID() // must not panic
	}
	for i := range box {
		for bit := range 8 {
			damaged := slices.Clone(box)
			damaged[i] ^= 1 << bit
			try(fmt.Sprintf("bit %d of byte %d", bit, i), damaged, place, k.Open)
		}
		try(fmt.Sprintf("cut to %d", i), box[:i:i], place, k.Open)
		try(fmt.Sprintf("from %d", i+1), box[i+1:], place, k.Open)
	}
	asRing := slices.Clone(box)
	asRing[0] = formatVersion
	try("one byte more", append(slices.Clone(box), 0), place, k.Open)
	try("another place", box, place+"2", k.Open)
	try("another key by the number", box, place, other.Open)
	try("the keyring", box, place, ring.Open)
	try("the keyring, in its format", asRing, place, ring.Open)
	try("the other format", asRing, place, k.Open)
}

func TestDataKeyNumbers(t *testing.T) {
	t.Parallel()
	for _, number := range []int{1, 9, 10, 123456} {
		box, err := newDataKey(t, number).Seal(NewSecret("x"), place)
		if err != nil || box.DataKeyNumber() != number || box.KeyID() != "" {
			t.Errorf("%d: %d, %q, %v", number, box.DataKeyNumber(), box.KeyID(), err)
		}
	}
	ring := newRing(t, "7:"+strings.SplitN(NewKey().Reveal(), ":", 2)[1])
	if box := mustSeal(t, ring, "x"); box.DataKeyNumber() != 0 || box.KeyID() != "7" {
		t.Errorf("of a keyring: %d, %q", box.DataKeyNumber(), box.KeyID())
	}
	for _, text := range []string{"", "\x02", "\x02\x00", "\x02\x0201", "\x02\x03-12", "\x02\x02+1", "\x02\x011"[:2], "\x02\x01x", "\x03\x011"} {
		if n := Box(text).DataKeyNumber(); n != 0 {
			t.Errorf("%q is of number %d", text, n)
		}
	}
	for _, bad := range []Secret{{}, NewSecret("short"), NewSecret(strings.Repeat("x", 33))} {
		if _, err := NewDataKey(1, bad); err == nil {
			t.Errorf("a key of %d bytes was taken", len(bad.Reveal()))
		}
	}
	if _, err := NewDataKey(0, NewDataKeySecret()); err == nil {
		t.Error("a key without a number was taken")
	}
	if _, err := newDataKey(t, 1).Seal(NewSecret("x"), ""); err == nil {
		t.Error("sealed without a binding")
	}
}

func TestDataKeysDoNotPrint(t *testing.T) {
	t.Parallel()
	secret := NewDataKeySecret()
	k, err := NewDataKey(1, secret)
	if err != nil {
		t.Fatal(err)
	}
	for path, out := range printed(t, k) {
		checkHidden(t, "data key by "+path, out, secret.Reveal())
		if path != "json" && path != "%p" && !strings.Contains(out, Mask) {
			t.Errorf("%s gives %q", path, out)
		}
	}
	type holder struct{ k DataKey }
	for path, out := range printed(t, &holder{k}) {
		checkHidden(t, "unexported data key by "+path, out, secret.Reveal())
	}
}

func FuzzOpenDataKey(f *testing.F) {
	secret := NewSecret("fixed, so that it can be replayed"[:keySize])
	k, err := NewDataKey(1, secret)
	if err != nil {
		f.Fatal(err)
	}
	box, err := k.Seal(NewSecret(canary), place)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(box), place)
	f.Add([]byte(box[:20]), place)
	f.Add([]byte{dataKeyFormat, 255}, "")
	f.Add([]byte("\x02\x011"), place)
	f.Fuzz(func(t *testing.T, data []byte, binding string) {
		if n := Box(data).DataKeyNumber(); n < 0 {
			t.Fatalf("number %d", n)
		}
		got, err := k.Open(data, binding)
		if err == nil && (got.Reveal() != canary || binding != place) {
			t.Fatal("a forgery was opened")
		}
		if err != nil && !got.IsZero() {
			t.Fatal("an error came with a text")
		}
	})
}
