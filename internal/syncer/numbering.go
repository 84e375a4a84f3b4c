package syncer

import (
	"context"
	"strings"

	"pgp.internal/defender/internal/inventory"
)

// numbering gives the software and vulnerabilities that rows name their numbers, asking the database once for each.
type numbering struct {
	store           Store
	software        map[Software]*knownSoftware
	vulnerabilities map[string]*knownVulnerability
	named           []named             // of the batch at hand, by row
	last            *knownSoftware      // of the previous row: rows of one software mostly come together
	lastNamed       *knownVulnerability // of the previous row
	forgot          bool                // vulnerabilities: which were taken is not known any more

	newSoftware []Software
	newNames    []string
}

// detail is how samples of skipped rows name it.
func (s Software) detail() string { return clip(s.Vendor + " " + s.Product + " " + s.Version) }

// named is what a row refers to; both are nil for a row without a vulnerability.
type named struct {
	software      *knownSoftware
	vulnerability *knownVulnerability
}

type knownSoftware struct {
	name Software
	id   int32
}

type knownVulnerability struct {
	name   string
	next   *knownVulnerability // what came after it the last time, which is likely to come after it again
	id     int32
	traits inventory.Traits
	taken  bool // some row of it was
}

// Bounds of what is remembered at a time. Beyond them it is forgotten and asked for again: a directory that large names
// few of its software twice.
const (
	maxSoftware        = 200_000
	maxVulnerabilities = 400_000
)

func newNumbering(store Store) *numbering {
	return &numbering{store: store, last: &knownSoftware{}, software: map[Software]*knownSoftware{}, vulnerabilities: map[string]*knownVulnerability{}}
}

// refused tells whether all rows of a vulnerability were refused, of those that any asset has.
func (n *numbering) refused(name string) bool {
	v := n.vulnerabilities[name]
	return v != nil && !v.taken && !n.forgot
}

// resolve numbers a batch. The result is in the order of the rows and valid until the next call.
func (n *numbering) resolve(ctx context.Context, rows []inventory.Row) ([]named, error) {
	if len(n.software) > maxSoftware {
		clear(n.software)
		n.last = &knownSoftware{}
	}
	if len(n.vulnerabilities) > maxVulnerabilities {
		clear(n.vulnerabilities)
		n.lastNamed, n.forgot = nil, true
	}
	n.named = n.named[:0]
	for i := range rows {
		if rows[i].CVE == "" {
			n.named = append(n.named, named{})
			continue
		}
		n.named = append(n.named, named{n.softwareOf(&rows[i]), n.vulnerabilityOf(&rows[i])})
	}
	return n.named, n.ask(ctx)
}

func (n *numbering) softwareOf(r *inventory.Row) *knownSoftware {
	name := Software{r.Vendor, r.Product, r.Version}
	if name == n.last.name && n.last.id != 0 {
		return n.last
	}
	known, ok := n.software[name]
	if !ok {
		name = Software{strings.Clone(name.Vendor), strings.Clone(name.Product), strings.Clone(name.Version)}
		known = &knownSoftware{name: name}
		n.software[name] = known
		n.newSoftware = append(n.newSoftware, name)
	}
	n.last = known
	return known
}

// vulnerabilityOf goes by the canonical name; most come with it.
func (n *numbering) vulnerabilityOf(r *inventory.Row) *knownVulnerability {
	last := n.lastNamed
	if last != nil && last.next != nil && last.next.name == r.CVE {
		n.lastNamed = last.next
		return last.next
	}
	n.lastNamed = n.lookUp(r.CVE)
	if last != nil {
		last.next = n.lastNamed
	}
	return n.lastNamed
}

func (n *numbering) lookUp(cve string) *knownVulnerability {
	if known, ok := n.vulnerabilities[cve]; ok {
		return known
	}
	name := vulnerabilityName(cve)
	known, ok := n.vulnerabilities[name]
	if !ok {
		name = strings.Clone(name)
		known = &knownVulnerability{name: name}
		n.vulnerabilities[name] = known
		n.newNames = append(n.newNames, name)
	}
	return known
}

// vulnerabilityName is the canonical name: CVE ids are compared without case.
func vulnerabilityName(cve string) string { return strings.ToUpper(strings.TrimSpace(cve)) }

// ask fills in what this run had not met before.
func (n *numbering) ask(ctx context.Context) error {
	if len(n.newSoftware) > 0 {
		ids, err := n.store.SoftwareIDs(ctx, n.newSoftware)
		if err != nil {
			return err
		}
		for i, id := range ids {
			n.software[n.newSoftware[i]].id = id
		}
		n.newSoftware = n.newSoftware[:0]
	}
	if len(n.newNames) == 0 {
		return nil
	}
	known, err := n.store.KnownVulnerabilities(ctx, n.newNames)
	if err != nil {
		return err
	}
	for i := range known {
		v := n.vulnerabilities[n.newNames[i]]
		v.id, v.traits = known[i].ID, inventory.TraitsOf(&known[i])
	}
	n.newNames = n.newNames[:0]
	return nil
}

// vulnerabilitiesByID are those that are remembered, by their numbers.
func (n *numbering) vulnerabilitiesByID() map[int32]*knownVulnerability {
	known := make(map[int32]*knownVulnerability, len(n.vulnerabilities))
	for _, v := range n.vulnerabilities {
		known[v.id] = v
	}
	return known
}

// softwareNamed looks a few up by their number; empty for one that is not remembered any more.
func (n *numbering) softwareNamed(id int32) Software {
	for name, known := range n.software {
		if known.id == id {
			return name
		}
	}
	return Software{}
}
