package inventory

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Bounds of a definition; a vulnerability of a library can be fixed by hundreds of products' updates.
const (
	maxRecommendations = 20
	maxReferences      = 50
)

// leastEPSS is the smallest probability that EPSS publishes: five decimals. Defender sends 0 where it has none.
const leastEPSS = 0.00001

// Definition is the text that explains a vulnerability. Microsoft states an impact and a remediation for some only; the
// rest is composed here from what it does state, and marked.
type Definition struct {
	Description             string
	Impact                  string
	Recommendation          string
	References              []string
	ImpactGenerated         bool
	RecommendationGenerated bool
	Generated               bool // either of the two
}

// Title is the source's title of a vulnerability, or its name where the source repeats that, as Defender does.
func Title(v *Vulnerability) string {
	if title := strings.TrimSpace(v.Title); title != "" {
		return title
	}
	return v.Name
}

// Define composes the definition of v from the catalogue and from the updates recommended against it. It states nothing
// that neither of them says, and does not depend on the order of updates.
func Define(v *Vulnerability, updates []Update) Definition {
	told := splitDescription(v.Description)
	d := Definition{Description: told.description, Impact: told.impact, Recommendation: told.remediation, References: references(v, updates)}
	if d.Impact == "" {
		d.Impact, d.ImpactGenerated = impact(v), true
	}
	if d.Recommendation == "" {
		d.Recommendation, d.RecommendationGenerated = recommendation(updates), true
	}
	d.Generated = d.ImpactGenerated || d.RecommendationGenerated
	return d
}

// impact joins the facts on what exploitation leads to and how likely it is.
func impact(v *Vulnerability) string {
	var facts []string
	if s := cvssImpact(v.Vector); s != "" {
		facts = append(facts, s)
	}
	switch {
	case v.ExploitInKit:
		facts = append(facts, "An exploit is part of an exploit kit.")
	case v.ExploitVerified:
		facts = append(facts, "A verified exploit exists.")
	case v.PublicExploit:
		facts = append(facts, "A public exploit exists.")
	}
	if v.EPSS >= leastEPSS && v.EPSS <= 1 {
		percent := strings.TrimRight(strings.TrimRight(strconv.FormatFloat(v.EPSS*100, 'f', 3, 64), "0"), ".")
		facts = append(facts, "EPSS puts the probability of exploitation within 30 days at "+percent+" %.")
	}
	if len(facts) == 0 {
		return "Microsoft states no impact."
	}
	return strings.Join(facts, " ")
}

// impactWords are the values of the impact metrics: N, L, H in versions 3 and 4; N, P, C in version 2.
var impactWords = map[string]string{"N": "no", "L": "a low", "H": "a high", "P": "a partial", "C": "a complete"}

// impactMetrics are named C, I, A up to version 3; version 4 tells the vulnerable system (V…) from those behind it.
var impactMetrics = [3]struct{ name, name4, of string }{
	{"C", "VC", "confidentiality"}, {"I", "VI", "integrity"}, {"A", "VA", "availability"},
}

// cvssImpact puts the impact metrics of a CVSS vector into words; nothing if any of them is absent or not standard.
func cvssImpact(vector string) string {
	var parts []string
	for _, m := range impactMetrics {
		word := ""
		for metric, value := range metrics(vector) {
			if strings.EqualFold(metric, m.name) || strings.EqualFold(metric, m.name4) {
				word = impactWords[strings.ToUpper(value)]
				break
			}
		}
		if word == "" {
			return ""
		}
		parts = append(parts, word+" impact on "+m.of)
	}
	return fmt.Sprintf("By its CVSS vector, exploitation has %s, %s and %s.", parts[0], parts[1], parts[2])
}

// recommendation says for each software what to install, one line each.
func recommendation(updates []Update) string {
	var lines []string
	for i := range updates {
		if line := updateLine(&updates[i]); line != "" {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	lines = slices.Compact(lines)
	if len(lines) == 0 {
		return "Microsoft states no update."
	}
	if more := len(lines) - maxRecommendations; more > 0 {
		lines = append(lines[:maxRecommendations], fmt.Sprintf("And %d more.", more))
	}
	return strings.Join(lines, "\n")
}

func updateLine(u *Update) string {
	software := strings.TrimSpace(strings.TrimSpace(u.Vendor) + " " + strings.TrimSpace(u.Product))
	text, id, link := strings.TrimSpace(u.Text), updateName(u), webLink(u.URL)
	if text == "" {
		text, id = id, ""
	}
	switch {
	case text != "" && software != "":
		text = "Update " + software + ": install " + text
	case text != "":
		text = "Install " + text
	case software == "":
		return ""
	case u.Ready != nil && !*u.Ready && link == "":
		return "No security update for " + software + " is available yet."
	default:
		text = "Update " + software
	}
	if id != "" && !strings.Contains(text, id) {
		text += " (" + id + ")"
	}
	if link != "" {
		return text + ", see " + link
	}
	return text + "."
}

// updateName writes bare numbers as Microsoft's knowledge base articles, which is what they are for its own products.
func updateName(u *Update) string {
	id := strings.TrimSpace(u.ID)
	if id != "" && strings.Trim(id, "0123456789") == "" && fold(u.Vendor) == "microsoft" {
		return "KB" + id
	}
	return id
}

// references are the links that the source gives, exploits first.
func references(v *Vulnerability, updates []Update) []string {
	var exploits, fixes []string
	for _, uri := range v.ExploitURIs {
		exploits = append(exploits, webLink(uri))
	}
	for i := range updates {
		fixes = append(fixes, webLink(updates[i].URL))
	}
	slices.Sort(fixes)
	var links []string
	for _, link := range append(exploits, fixes...) {
		if link != "" && !slices.Contains(links, link) && len(links) < maxReferences {
			links = append(links, link)
		}
	}
	return links
}

// webLink passes only absolute links of the web: these texts are shown to people, who click on them.
func webLink(text string) string {
	u, err := url.Parse(strings.TrimSpace(text))
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return u.String()
}
