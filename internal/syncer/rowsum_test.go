package syncer

import (
	"math/rand/v2"
	"testing"
)

func TestRowSum(t *testing.T) {
	t.Parallel()
	rows := make([]spooledRow, 100)
	for i := range rows {
		rows[i] = spooledRow{vulnerability: int32(i + 1), software: int32(i%7 + 1), location: int64(i), firstSeen: uint32(i)}
	}
	var first RowSum
	for i := range rows {
		first.add(&rows[i])
	}
	random := rand.New(rand.NewPCG(1, 2))
	random.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	for _, c := range []struct {
		name   string
		change func(*spooledRow)
	}{
		{"nothing", func(*spooledRow) {}},
		{"software", func(r *spooledRow) { r.software++ }},
		{"severity", func(r *spooledRow) { r.severity++ }},
		{"place", func(r *spooledRow) { r.location++ }},
		{"first seen", func(r *spooledRow) { r.firstSeen++ }},
		{"refused", func(r *spooledRow) { r.reason++ }},
	} {
		var second RowSum
		want := parts(0)
		for i, r := range rows {
			if i == 42 {
				before := r
				if c.change(&r); r != before {
					want = 1 << PartOf(r.vulnerability)
				}
			}
			second.add(&r)
		}
		stored := ReadRowSum(second.Bytes())
		if got := first.differing(&stored); got != want {
			t.Errorf("%s: parts %08b differ, want %08b", c.name, got, want)
		}
	}
	if never := ReadRowSum(nil); first.differing(&never) != allParts || never.differing(&RowSum{}) != 0 {
		t.Error("what was never compared is not told from what is stored")
	}
}
