package world

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Catalogue is Microsoft's list of vulnerabilities as one simulator sees it: the same for all directories.
// It is immutable and safe for concurrent use; a change makes another edition of it.
type Catalogue struct {
	seed     uint64
	epoch    time.Time
	ordinary []entry
	edges    []Vulnerability
	software []software
	affected [][]int32 // by software: the ordinary vulnerabilities that release has
	export   [][]byte  // by vulnerability: members of an export row
	ids      []string
	index    map[string]int32 // by upper-case id; those published later are looked up in ids

	revised   map[int32]*revision // what was rated anew or published since
	published []publication       // numbered from built() on
}

// entry is the stored part of an ordinary vulnerability; the rest is composed when asked for.
type entry struct {
	product  uint8
	releases uint8 // releases below this one are affected
	score    uint8
	year     uint16
}

// NewCatalogue builds size ordinary vulnerabilities plus the edge cases. Times are relative to epoch.
func NewCatalogue(seed uint64, size int, epoch time.Time) *Catalogue {
	c := &Catalogue{
		seed: seed, epoch: epoch.UTC().Truncate(time.Second),
		software: buildSoftware(),
		edges:    edgeVulnerabilities(epoch),
		index:    make(map[string]int32, size+64),
	}
	c.ordinary = make([]entry, size)
	for i := range c.ordinary {
		c.ordinary[i] = c.newEntry(i)
	}
	c.affected = c.buildAffected()
	c.export = make([][]byte, c.Len())
	c.ids = make([]string, c.Len())
	for i := range c.built() {
		v := c.At(i)
		c.ids[i] = v.ID
		c.export[i] = v.exportMembers()
		c.index[strings.ToUpper(v.ID)] = int32(i)
	}
	return c
}

// Len counts all vulnerabilities, unlisted ones included.
func (c *Catalogue) Len() int { return c.built() + len(c.published) }

// built counts those that the catalogue began with.
func (c *Catalogue) built() int { return len(c.ordinary) + len(c.edges) }

// Find returns the index of a vulnerability by id, compared without case.
func (c *Catalogue) Find(id string) (int, bool) {
	if i, ok := c.index[strings.ToUpper(id)]; ok {
		return int(i), true
	}
	i := slices.IndexFunc(c.ids[c.built():], func(other string) bool { return strings.EqualFold(id, other) })
	return c.built() + i, i >= 0
}

// At composes vulnerability i.
func (c *Catalogue) At(i int) Vulnerability {
	if r := c.revised[int32(i)]; r != nil {
		return r.Vulnerability
	}
	if i >= len(c.ordinary) {
		return c.edges[i-len(c.ordinary)]
	}
	return c.compose(i)
}

// want is the outcome of vulnerability i without composing its texts.
func (c *Catalogue) want(i int32) VulnerabilityOutcome {
	if r := c.revised[i]; r != nil {
		return r.Want
	}
	if int(i) >= len(c.ordinary) {
		return c.edges[int(i)-len(c.ordinary)].Want
	}
	return scores[c.ordinary[i].score].want
}

func (c *Catalogue) newEntry(i int) entry {
	r := newRNG(c.seed, 0xca7a, uint64(i))
	this := c.epoch.Year()
	return entry{
		product:  uint8(r.n(len(products))),
		releases: uint8(1 + r.n(versionsPerProduct)),
		score:    scoreTable[r.n(len(scoreTable))],
		year:     uint16(this - min(r.n(6), r.n(9))),
	}
}

func (c *Catalogue) buildAffected() [][]int32 {
	out := make([][]int32, len(c.software))
	for i, e := range c.ordinary {
		shared := c.shared(i)
		for release := range int(e.releases) {
			at := int(e.product)*versionsPerProduct + release
			out[at] = append(out[at], int32(i))
			if s := siblings[e.product]; shared && s >= 0 {
				at = s*versionsPerProduct + release
				out[at] = append(out[at], int32(i))
			}
		}
	}
	return out
}

// shared tells whether vulnerability i lies in code that a sibling product holds too, as browsers share Chromium.
func (c *Catalogue) shared(i int) bool { return mix(c.seed^uint64(i))%3 == 0 }

func (c *Catalogue) compose(i int) Vulnerability {
	e := c.ordinary[i]
	p, s := products[e.product], scores[e.score]
	r := newRNG(c.seed, 0xde7a, uint64(i))
	published := c.publishedAt(&r, int(e.year))
	updated := published.Add(time.Duration(r.n(30*24)) * time.Hour)
	if updated.After(c.epoch) {
		updated = published
	}
	v := Vulnerability{
		ID: fmt.Sprintf("CVE-%d-%d", e.year, 20000+i), Listed: true,
		Severity: s.word, RowSeverity: s.word, Vector: c.fullVector(&r, s.vector, int(e.year)), Tenths: s.tenths,
		Published: iso(published, pick(&r, []int{0, 1, 2, 3})), Updated: iso(updated, pick(&r, []int{0, 2, 3})),
		publishedAt: published, updatedAt: updated,
		Supportability: "Supported", EPSS: pick(&r, []string{Absent, "0", epss(r.n(4000)), epss(r.n(40000)), epss(r.n(950000))}),
		Want: s.want,
	}
	v.Description = describe(&r, p, newSoftwareVersion(p, int(e.releases)), v.Want.AttackVector)
	c.addExploits(&r, &v, s)
	addUpdate(&r, &v, p, i)
	return v
}

func (c *Catalogue) publishedAt(r *rng, year int) time.Time {
	start := time.Date(year, 1, 2, 0, 0, 0, 0, time.UTC)
	end := time.Date(year, 12, 28, 0, 0, 0, 0, time.UTC)
	if last := c.epoch.AddDate(0, 0, -3); end.After(last) {
		end = last
	}
	hours := max(int(end.Sub(start).Hours()), 1)
	return start.Add(time.Duration(r.n(hours))*time.Hour + time.Duration(r.n(3600000))*time.Millisecond)
}

func (c *Catalogue) fullVector(r *rng, vector string, year int) string {
	switch {
	case vector == "" || strings.HasPrefix(vector, "CVSS:4"):
		return vector
	case year < c.epoch.Year()-3:
		return "CVSS:3.0/" + vector + "/E:U/RL:O/RC:C"
	case r.chance(60):
		return "CVSS:3.1/" + vector + "/E:U/RL:O/RC:C"
	}
	return "CVSS:3.1/" + vector
}

// addExploits leaves vulnerabilities without a vector alone: there a flag or a type would change the outcome written
// in the table.
func (c *Catalogue) addExploits(r *rng, v *Vulnerability, s score) {
	if s.vector == "" {
		return
	}
	switch {
	case s.want.AttackVector == "network" && r.chance(80), r.chance(15):
		v.ExploitTypes = []string{"Remote"}
	case r.chance(50):
		v.ExploitTypes = []string{pick(r, []string{"PrivilegeEscalation", "Local", "Dos"})}
	}
	if !r.chance(9) {
		return
	}
	v.PublicExploit = true
	v.Verified = r.chance(40)
	v.InKit = v.Verified && r.chance(40)
	v.ExploitURIs = []string{"https://www.cisa.gov/known-exploited-vulnerabilities-catalog"}
}

func addUpdate(r *rng, v *Vulnerability, p product, i int) {
	switch {
	case p.os && p.vendor == "microsoft":
		v.KB = kbOf(i)
		v.UpdateID, v.UpdateText = v.KB, v.publishedAt.Format("January 2006")+" Security Updates"
		v.UpdateURL = "https://catalog.update.microsoft.com/v7/site/Search.aspx?q=KB" + v.KB
	case p.vendor == "red_hat":
		v.UpdateID = fmt.Sprintf("RHSA-%d:%d", v.publishedAt.Year(), 1000+i%9000)
		v.UpdateText = v.UpdateID
	case p.vendor == "ubuntu":
		v.UpdateID = fmt.Sprintf("USN-%d-1", 5000+i%3000)
		v.UpdateText, v.UpdateURL = v.UpdateID, "https://ubuntu.com/security/notices/"+v.UpdateID
	case r.chance(30):
		v.UpdateID = fmt.Sprint(190000 + i%9000)
		v.UpdateText = v.UpdateID
	}
	v.UpdateReady = (v.UpdateText == "") == (i%11 == 3) // most updates that are there are named, and the other way round
}

func newSoftwareVersion(p product, release int) string { return fmt.Sprintf(p.pattern, 10+release*7) }

var weaknesses = []string{
	"a use after free", "an out-of-bounds write", "an integer overflow", "improper input validation", "a type confusion",
	"a heap-based buffer overflow", "a missing authorization check", "an uncontrolled search path", "a race condition", "a path traversal",
}

// describe writes a text of 200 to 800 characters in the sectioned style of the newer descriptions.
func describe(r *rng, p product, fixed, vector string) string {
	how := "A local attacker who can run code on the device"
	if vector == "network" || vector == "adjacent" {
		how = "A remote attacker who can reach the component, or can make a user open crafted content,"
	}
	name := title(p.name)
	var b strings.Builder
	fmt.Fprintf(&b, "Summary: %s contains %s in the handling of %s. ", name, pick(r, weaknesses),
		pick(r, []string{"malformed documents", "network messages", "compressed archives", "certificates", "font data", "script objects"}))
	fmt.Fprintf(&b, "Impact: %s could %s. ", how,
		pick(r, []string{"execute arbitrary code with the rights of the user", "read memory of the process", "stop the service", "raise its privileges"}))
	if r.chance(60) {
		fmt.Fprintf(&b, "AdditionalInformation: The flaw is reached through %s, and the default configuration is affected. "+
			"No special privileges beyond those stated in the score are needed, and the attack leaves few traces in the logs of the component. ",
			pick(r, []string{"a parser that trusts a length field", "an object that outlives its owner", "a handler registered at start"}))
	}
	fmt.Fprintf(&b, "Remediation: Apply the latest patches and updates provided by the respective vendors; %s %s and later are not affected. [Generated by AI]", name, fixed)
	return b.String()
}

func kbOf(i int) string { return strconv.Itoa(5030000 + i%9000) }
