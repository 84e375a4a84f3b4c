package world

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// revision is a vulnerability as it was rated or published after the catalogue was built.
type revision struct {
	Vulnerability
	export []byte // members of an export row
	seen   string // of a published one: when it was first seen anywhere
	seenAt time.Time
}

// publication is what a vulnerability published later befalls.
type publication struct {
	product  uint8
	releases uint8 // releases below this one are affected
}

// exportOf returns the members of an export row that depend on vulnerability i alone.
func (c *Catalogue) exportOf(i int32) []byte {
	if len(c.revised) > 0 {
		if r := c.revised[i]; r != nil {
			return r.export
		}
	}
	return c.export[i]
}

// edit returns a copy that may be changed until it is handed out.
func (c *Catalogue) edit() *Catalogue {
	next := *c
	next.revised = maps.Clone(c.revised)
	if next.revised == nil {
		next.revised = map[int32]*revision{}
	}
	next.published, next.ids = slices.Clip(c.published), slices.Clip(c.ids)
	return &next
}

// rating finds a row of the table of scores by words. Without any it takes one by seed, though not one of the score
// that is to be replaced.
func rating(severity, vector string, seed uint64, replaced int) (score, error) {
	var fit []score
	for _, s := range scores {
		if (severity == "" || strings.EqualFold(s.word, severity)) && (vector == "" || s.reach() == vector) && s.tenths != replaced {
			fit = append(fit, s)
		}
	}
	if len(fit) == 0 {
		return score{}, fmt.Errorf("no other rating has severity %q and attack vector %q", severity, vector)
	}
	return fit[mix(seed)%uint64(len(fit))], nil
}

// reach is the attack vector of the score: network, adjacent, local, physical or unknown.
func (s *score) reach() string {
	switch {
	case s.vector == "":
		return "unknown"
	case strings.HasPrefix(s.want.Skip, "vector_"):
		return strings.TrimPrefix(s.want.Skip, "vector_")
	}
	return s.want.AttackVector
}

// rate gives a vulnerability other figures. Where Microsoft knows no vector it knows no exploit either, see addExploits.
func (v *Vulnerability) rate(s score, at time.Time) {
	v.Severity, v.RowSeverity, v.Tenths, v.Vector, v.Want = s.word, s.word, s.tenths, s.vector, s.want
	if s.vector != "" && !strings.HasPrefix(s.vector, "CVSS:") {
		v.Vector = "CVSS:3.1/" + s.vector
	}
	if s.vector == "" {
		v.PublicExploit, v.Verified, v.InKit, v.ExploitTypes, v.ExploitURIs = false, false, false, nil, nil
	}
	v.update(at)
}

// update moves updatedOn on, at least by a second.
func (v *Vulnerability) update(at time.Time) {
	if least := v.updatedAt.Add(time.Second); at.Before(least) {
		at = least
	}
	v.updatedAt, v.Updated = at, iso(at, 3)
}

func (c *Catalogue) revise(i int32, v Vulnerability) {
	r := &revision{Vulnerability: v, export: v.exportMembers()}
	if old := c.revised[i]; old != nil {
		r.seen, r.seenAt = old.seen, old.seenAt
	}
	c.revised[i] = r
}

// reviseEach changes what the catalogue says of each vulnerability that the change names.
func (c *Catalogue) reviseEach(change Change, to func(v *Vulnerability, seed uint64) error) error {
	if len(change.CVEs) == 0 {
		return errors.New("cves are required")
	}
	for _, id := range change.CVEs {
		i, ok := c.Find(id)
		if !ok || !c.At(i).Listed {
			return fmt.Errorf("no vulnerability has id %q", id)
		}
		v := c.At(i)
		if err := to(&v, change.Seed^uint64(i)^uint64(v.updatedAt.Unix())); err != nil {
			return err
		}
		c.revise(int32(i), v)
	}
	return nil
}

// applyRating carries out rate_vulnerability: other figures, another recommended update and a longer description.
func (c *Catalogue) applyRating(change Change, at time.Time) error {
	return c.reviseEach(change, func(v *Vulnerability, seed uint64) error {
		s, err := rating(change.Severity, change.AttackVector, seed, v.Tenths)
		if err != nil {
			return err
		}
		v.rate(s, at)
		if v.UpdateText != "" {
			v.UpdateText = v.updatedAt.Format("January 2006") + " Security Updates"
		}
		v.Description = strings.TrimSuffix(plainText(v.Description), " Rated anew.") + " Rated anew."
		return nil
	})
}

// applyClassification carries out classify_vulnerability: another attack vector behind the same severity and score, so that no row
// of a report tells of it.
func (c *Catalogue) applyClassification(change Change, at time.Time) error {
	return c.reviseEach(change, func(v *Vulnerability, seed uint64) error {
		var fit []score
		for _, s := range scores {
			known := s.vector != "" && v.Vector != ""
			if known && strings.EqualFold(s.word, v.Severity) && !strings.HasSuffix(v.Vector, s.vector) && (change.AttackVector == "" || s.reach() == change.AttackVector) {
				fit = append(fit, s)
			}
		}
		if len(fit) == 0 {
			return fmt.Errorf("%s has no other vector that is %q", v.ID, change.AttackVector)
		}
		tenths := v.Tenths
		v.rate(fit[mix(seed)%uint64(len(fit))], at)
		v.Tenths = tenths
		return nil
	})
}

func plainText(s string) string {
	text, _ := plain(s).(string)
	return text
}

// applyPublication carries out publish_vulnerability: every installation of the older half or more of a product's
// releases turns out to have it.
func (c *Catalogue) applyPublication(change Change, at time.Time) error {
	n := len(c.published)
	id := fmt.Sprintf("CVE-%d-%d", at.Year(), 950001+n)
	switch {
	case len(change.CVEs) > 1:
		return errors.New("one vulnerability is published at a time")
	case len(change.CVEs) == 1:
		id = change.CVEs[0]
	}
	if _, taken := c.Find(id); taken {
		return fmt.Errorf("%s is published already", id)
	}
	r := newRNG(c.seed, 0x9b1, change.Seed, uint64(n))
	p := r.n(len(products))
	if change.Software != "" {
		var err error
		if p, err = productNamed(change.Software); err != nil {
			return err
		}
	}
	s, err := rating(change.Severity, change.AttackVector, r.next(), -1)
	if err != nil {
		return err
	}
	i, releases := int32(c.Len()), versionsPerProduct/2+r.n(versionsPerProduct/2)
	c.published = append(c.published, publication{product: uint8(p), releases: uint8(releases)})
	c.ids = append(c.ids, id)
	v := Vulnerability{ID: id, Listed: true, Supportability: "Supported", EPSS: Absent, Published: iso(at, 0), publishedAt: at, updatedAt: at.Add(-time.Second)}
	v.rate(s, at)
	v.Description = describe(&r, products[p], newSoftwareVersion(products[p], releases), v.Want.AttackVector)
	addUpdate(&r, &v, products[p], int(i))
	c.revise(i, v)
	c.revised[i].seenAt, c.revised[i].seen = at, blankSeparated(at)
	return nil
}

func productNamed(name string) (int, error) {
	i := slices.IndexFunc(products, func(p product) bool { return strings.EqualFold(p.vendor+"/"+p.name, name) })
	if i < 0 {
		return 0, fmt.Errorf("no product is called %q (vendor/name)", name)
	}
	return i, nil
}

// publishedRows appends the rows of vulnerabilities published later to the rows of one machine, on the disk of the software that has them.
func (c *Catalogue) publishedRows(rows []row, start int) []row {
	whole := len(rows)
	for n, p := range c.published {
		for i := start; i < whole; i++ {
			software := rows[i].software
			if int(software/versionsPerProduct) == int(p.product) && int(software%versionsPerProduct) < int(p.releases) {
				rows = append(rows, row{cve: int32(c.built() + n), software: software, flags: rows[i].flags & flagMoved}) // it lies where it lies
				break
			}
		}
	}
	return rows
}
