package audit_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/tenant"
)

// parse reads canonical bytes back: what can be read back in one way only stands for one event only.
func parse(t *testing.T, b []byte) (e audit.Event) {
	t.Helper()
	take := func(n uint64) []byte {
		if n > uint64(len(b)) {
			t.Fatalf("%d bytes wanted, %d left", n, len(b))
		}
		part := b[:n]
		b = b[n:]
		return part
	}
	number := func() uint64 {
		n, size := binary.Uvarint(b)
		take(uint64(size))
		return n
	}
	text := func() string { return string(take(number())) }
	if form := take(1); form[0] != 1 {
		t.Fatalf("form %d", form[0])
	}
	copy(e.ID[:], take(16))
	e.Tenant = tenant.ID(binary.BigEndian.Uint32(take(4)))
	e.Sequence = int64(binary.BigEndian.Uint64(take(8)))
	e.At = time.UnixMicro(int64(binary.BigEndian.Uint64(take(8)))).UTC()
	e.Actor = audit.Actor{Kind: audit.Kind(text()), ID: text(), Name: text()}
	e.Action = audit.Action(text())
	e.Resource = audit.Resource{Type: text(), ID: text()}
	e.Outcome, e.RequestID, e.Address = audit.Outcome(text()), text(), text()
	for range number() {
		e.Changes = append(e.Changes, audit.Change{Field: text(), Before: text(), After: text()})
	}
	if len(b) != 0 {
		t.Fatalf("%d bytes too many", len(b))
	}
	return e
}

func FuzzCanonicalBytesStandForOneEvent(f *testing.F) {
	f.Add(int32(1), int64(1), int64(0), "api_key", "key_1", "siem", "run.started", "name", "a", "b", uint8(2))
	f.Add(int32(-1), int64(-1), int64(-1), "", "a\x00b", strings.Repeat("x", 300), "\xff", "", "", "", uint8(0))
	f.Fuzz(func(t *testing.T, chain int32, sequence, at int64, kind, id, name, action, field, before, after string, changes uint8) {
		e := audit.Event{
			ID: uuid.NewSHA1(uuid.Nil, []byte(id)), Tenant: tenant.ID(chain), Sequence: sequence, At: time.UnixMicro(at % (1 << 55)).UTC(),
			Actor: audit.Actor{Kind: audit.Kind(kind), ID: id, Name: name}, Action: audit.Action(action),
			Resource: audit.Resource{Type: field, ID: before}, Outcome: audit.Outcome(after), RequestID: name, Address: id,
		}
		for range changes % 4 {
			e.Changes = append(e.Changes, audit.Change{Field: field, Before: before, After: after})
		}
		if got := parse(t, e.Canonical()); !reflect.DeepEqual(got, e) {
			t.Fatalf("read back as %+v, was %+v", got, e)
		}
	})
}

var keys = map[string]audit.Key{"k1": {ID: "k1", Secret: []byte("one")}, "k2": {ID: "k2", Secret: []byte("two")}}

// chain makes n events in a row, sealed with a key, and their head.
func chain(n int, key audit.Key) (list []audit.Sealed, head audit.Head) {
	for i := range n {
		s := audit.Sealed{KeyID: key.ID, Event: audit.Event{
			ID: uuid.New(), Tenant: 7, Sequence: int64(i) + 1, At: time.UnixMicro(int64(i)).UTC(),
			Actor: audit.Actor{Kind: audit.APIKey, ID: "key_1", Name: "siem"}, Action: audit.RunStarted, Outcome: audit.Succeeded,
		}}
		s.Hash = key.Hash(head.Hash, &s.Event)
		list, head = append(list, s), audit.Head{Sequence: s.Sequence, Hash: s.Hash}
	}
	return list, head
}

func verify(list []audit.Sealed, head audit.Head) error {
	v := audit.NewVerifier(7, keys)
	for i := range list {
		if err := v.Add(&list[i]); err != nil {
			return err
		}
	}
	return v.End(head)
}

func TestVerifyNamesTheFirstBrokenEvent(t *testing.T) {
	t.Parallel()
	type tampering = func([]audit.Sealed, *audit.Head) []audit.Sealed
	for name, c := range map[string]struct {
		tamper tampering
		at     int64
	}{
		"untouched": {func(l []audit.Sealed, _ *audit.Head) []audit.Sealed { return l }, 0},
		"changed":   {func(l []audit.Sealed, _ *audit.Head) []audit.Sealed { l[2].Actor.Name = "nobody"; return l }, 3},
		"deleted":   {func(l []audit.Sealed, _ *audit.Head) []audit.Sealed { return slices.Delete(l, 1, 2) }, 2},
		"swapped": {func(l []audit.Sealed, _ *audit.Head) []audit.Sealed {
			l[1], l[2] = l[2], l[1]
			l[1].Sequence, l[2].Sequence = 2, 3
			return l
		}, 2},
		"twice":   {func(l []audit.Sealed, _ *audit.Head) []audit.Sealed { return slices.Insert(l, 2, l[1]) }, 2},
		"cut off": {func(l []audit.Sealed, _ *audit.Head) []audit.Sealed { return l[:4] }, 5},
		"empty":   {func([]audit.Sealed, *audit.Head) []audit.Sealed { return nil }, 1},
		"appended": {func(l []audit.Sealed, h *audit.Head) []audit.Sealed {
			h.Sequence, h.Hash = 4, l[3].Hash
			return l
		}, 5},
		"recomputed without the key": {func(l []audit.Sealed, h *audit.Head) []audit.Sealed {
			l[3].Actor.Name = "nobody"
			for i := 3; i < len(l); i++ {
				l[i].KeyID, l[i].Hash = "", audit.Key{}.Hash(l[i-1].Hash, &l[i].Event)
			}
			h.Hash = l[4].Hash
			return l
		}, 4},
		"recomputed under another id": {func(l []audit.Sealed, _ *audit.Head) []audit.Sealed { l[0].KeyID = "k2"; return l }, 1},
		"of the service, without the key": {func(l []audit.Sealed, h *audit.Head) []audit.Sealed {
			return recompute(l, h, func(int) audit.Key { return audit.Key{} }, nil)
		}, 1},
		"resealed by a command without the key": {func(l []audit.Sealed, h *audit.Head) []audit.Sealed {
			return recompute(l, h, func(int) audit.Key { return audit.Key{} }, func(e *audit.Event) { e.Actor.Kind, e.Action = audit.CLI, audit.IntegrationResealed })
		}, 1},
		"by a command without the key": {func(l []audit.Sealed, h *audit.Head) []audit.Sealed {
			return recompute(l, h, func(int) audit.Key { return audit.Key{} }, func(e *audit.Event) { e.Actor.Kind = audit.CLI })
		}, 0},
		"another tenant's": {func(l []audit.Sealed, _ *audit.Head) []audit.Sealed { l[0].Tenant = 8; return l }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			list, head := chain(5, keys["k1"])
			err := verify(c.tamper(list, &head), head)
			var broken *audit.BrokenError
			if errors.As(err, &broken); (broken == nil) != (c.at == 0) || broken != nil && broken.Sequence != c.at {
				t.Errorf("%v, want event %d", err, c.at)
			}
		})
	}
}

// recompute makes the hashes of a chain again, each with the key of its place from 0, after a change of each event.
func recompute(list []audit.Sealed, head *audit.Head, key func(i int) audit.Key, change func(*audit.Event)) []audit.Sealed {
	var before []byte
	for i := range list {
		if change != nil {
			change(&list[i].Event)
		}
		k := key(i)
		list[i].KeyID, list[i].Hash = k.ID, k.Hash(before, &list[i].Event)
		before = list[i].Hash
	}
	head.Hash = before
	return list
}

// TestVerdictsTellKeysApart seals five events of an operator in a row with keys that are old, missing or none.
func TestVerdictsTellKeysApart(t *testing.T) {
	t.Parallel()
	newer, older, gone, none := audit.Key{ID: "new", Secret: []byte("n")}, audit.Key{ID: "old", Place: 1, Secret: []byte("o")}, audit.Key{ID: "gone", Secret: []byte("g")}, audit.Key{}
	for name, c := range map[string]struct {
		keys [5]audit.Key
		want audit.Verdict
	}{
		"one key":             {[5]audit.Key{older, older, older, older, older}, audit.Verdict{Events: 5}},
		"a change of keys":    {[5]audit.Key{older, older, newer, newer, newer}, audit.Verdict{Events: 5}},
		"an old key is back":  {[5]audit.Key{older, newer, older, newer, older}, audit.Verdict{Events: 5, OlderKey: 2, OlderKeyFrom: 3}},
		"a key is missing":    {[5]audit.Key{gone, gone, older, newer, newer}, audit.Verdict{Events: 5, Unproven: 2, MissingKeys: []string{"gone"}}},
		"no key at first":     {[5]audit.Key{none, none, newer, newer, newer}, audit.Verdict{Events: 5, Unsealed: 2}},
		"no key in between":   {[5]audit.Key{none, newer, none, newer, none}, audit.Verdict{Events: 5, Unsealed: 3, UnsealedLate: 2}},
		"no key after a gone": {[5]audit.Key{gone, none, newer, newer, newer}, audit.Verdict{Events: 5, Unsealed: 1, UnsealedLate: 1, Unproven: 1, MissingKeys: []string{"gone"}}},
	} {
		list, head := chain(5, newer)
		list = recompute(list, &head, func(i int) audit.Key { return c.keys[i] }, func(e *audit.Event) { e.Actor.Kind = audit.CLI })
		v := audit.NewVerifier(7, map[string]audit.Key{"new": newer, "old": older})
		for i := range list {
			if err := v.Add(&list[i]); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if err := v.End(head); err != nil || !reflect.DeepEqual(v.Verdict(), c.want) {
			t.Errorf("%s: %+v, %v; want %+v", name, v.Verdict(), err, c.want)
		}
	}
}

func TestAChainBeginsAsItIsToldElsewhere(t *testing.T) {
	t.Parallel()
	list, _ := chain(2, keys["k1"])
	v := audit.NewVerifier(7, keys)
	if v.Start(nil) == nil {
		t.Error("a chain without an event begins")
	}
	for i := range list {
		if err := v.Add(&list[i]); err != nil {
			t.Fatal(err)
		}
	}
	if v.Start(nil) != nil || v.Start(list[0].Hash) != nil || v.Start(list[1].Hash) == nil {
		t.Error(v.Start(nil), v.Start(list[0].Hash), v.Start(list[1].Hash))
	}
}

func TestSecretsAreRedactedByType(t *testing.T) {
	t.Parallel()
	const canary = "canary-7f3a"
	var changes []audit.Change
	changes = audit.Diff(changes, "secret", seal.NewSecret("old"), seal.NewSecret(canary))
	changes = audit.Diff(changes, "pointer", nil, &canaryHolder{canary})
	changes = audit.Diff(changes, "box", seal.Box(nil), seal.Box(canary))
	changes = audit.Diff(changes, "bytes", []byte("a"), []byte(canary))
	changes = audit.Diff(changes, "struct", canaryHolder{}, canaryHolder{canary})
	changes = audit.Diff(changes, "same", "x", "x")
	changes = audit.Diff(changes, "hours", 12, 24)
	if len(changes) != 6 || changes[5] != (audit.Change{Field: "hours", Before: "12", After: "24"}) {
		t.Fatalf("%+v", changes)
	}
	for _, c := range changes {
		if strings.Contains(c.Before+c.After, canary) {
			t.Errorf("%s shows the secret: %+v", c.Field, c)
		}
	}
	e := audit.Event{Changes: changes}
	if bytes.Contains(e.Canonical(), []byte(canary)) {
		t.Error("the secret is in the canonical bytes")
	}
}

type canaryHolder struct{ Text string }

func TestAChangeNeedsAnActor(t *testing.T) {
	t.Parallel()
	for _, a := range []audit.Actor{{}, {Kind: audit.CLI}, {Name: "root"}} {
		if _, err := audit.OriginOf(audit.WithActor(t.Context(), a)); !errors.Is(err, audit.ErrNoActor) {
			t.Errorf("%+v: %v", a, err)
		}
	}
	want := audit.Origin{Actor: audit.Actor{Kind: audit.CLI, Name: "root"}, RequestID: "r", Address: "192.0.2.1"}
	if got, err := audit.OriginOf(audit.WithOrigin(t.Context(), want)); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
}
