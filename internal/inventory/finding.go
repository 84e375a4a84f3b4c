package inventory

import "strings"

// Traits is what the row rules need to know of a vulnerability: 16 bytes without pointers, so that a run keeps those of
// the whole catalogue in memory and looks them up for each of millions of rows.
type Traits struct {
	Score           float32      // CVSS base score; negative when absent
	Word            Severity     // the vulnerability's own word
	HasWord         bool         // it has one; outside the four, Word is unknown
	Derived         Severity     // from the score
	Vector          AttackVector // from the CVSS vector, else from the exploit types
	UserInteraction bool
	Exploit         bool // public, verified or in a kit
	Partial         bool // known only from machine rows, so the rows' exploitability counts
}

// TraitsOf extracts the traits of a catalogue entry. An entry that is partial has none of its own.
func TraitsOf(v *Vulnerability) Traits {
	if v.Partial {
		return PartialTraits()
	}
	t := Traits{
		Score: -1, Word: ParseSeverity(v.SeverityWord), HasWord: strings.TrimSpace(v.SeverityWord) != "",
		Derived: SeverityOfScore(v.Score), Exploit: v.PublicExploit || v.ExploitVerified || v.ExploitInKit,
	}
	if v.Score >= 0 && v.Score <= 10 {
		t.Score = float32(v.Score)
	}
	t.Vector, t.UserInteraction = ParseVector(v.Vector)
	if t.Vector == VectorUnknown {
		t.Vector = vectorHint(v.ExploitTypes)
	}
	return t
}

// Severity is the severity of the vulnerability itself, before any row had its say.
func (t Traits) Severity() Severity {
	if t.HasWord {
		return t.Word
	}
	return t.Derived
}

// PartialTraits stand for a vulnerability that is missing from the catalogue: only rows tell about it.
func PartialTraits() Traits { return Traits{Score: -1, Partial: true} }

// vectorHint guesses the vector from Defender's exploit types, whose words are not documented: "Remote" speaks for the
// network; "Local" and "PrivilegeEscalation" speak for a local attack if nothing else is named. "Dos" says nothing.
func vectorHint(types []string) AttackVector {
	local, others := false, false
	for _, kind := range types {
		switch lettersAndDigits(kind) {
		case "remote":
			return VectorNetwork
		case "local", "privilegeescalation":
			local = true
		case "":
		default:
			others = true
		}
	}
	if local && !others {
		return VectorLocal
	}
	return VectorUnknown
}

// Verdict is what a row contributes to its finding. Of the rows of one finding the highest source wins, and among equal
// sources the highest severity.
type Verdict struct {
	Severity Severity
	Source   SeveritySource
	Vector   AttackVector
}

// Row judges a row whose vulnerability has the traits t. The caller has made sure that it names a vulnerability and
// that its machine counts. The verdict is complete also when there is a reason. Row does not allocate.
func (j *Judge) Row(t Traits, r *Row) (Verdict, Reason) {
	v := Verdict{Vector: t.Vector}
	v.Severity, v.Source = severityOf(t, r)
	if reason := j.vectorReason(t, r, v.Severity); reason != Accepted {
		return v, reason
	}
	if t.UserInteraction && j.settings.ExcludeUserInteraction {
		return v, UserInteractionOnly
	}
	if v.Severity < j.settings.MinSeverity && !(v.Severity == SeverityUnknown && j.settings.MinSeverity == SeverityLow) {
		return v, SeverityBelowMin
	}
	return v, Accepted
}

// The mildest and the gravest thing that a row can say of its vulnerability.
var (
	mildestRow = Row{SeverityWord: "none", Score: -1}
	gravestRow = Row{SeverityWord: "critical", Score: 10, Exploitability: "ExploitIsVerified"}
)

// AnyRow judges all rows of a vulnerability at once, by its traits alone. It returns false if the answer depends on what the
// row says. The graver a row the sooner it counts, so that what holds for both ends holds for all in between.
func (j *Judge) AnyRow(t Traits) (Reason, bool) {
	_, reason := j.Row(t, &mildestRow)
	_, gravest := j.Row(t, &gravestRow)
	return reason, reason == gravest
}

// Finding judges a finding by what is stored of it, for want of its rows: the exploitability that any of them told counts, and of a
// score that only a row told the severity made of it is left.
func (j *Judge) Finding(t Traits, s Severity, source SeveritySource, exploitability string) Reason {
	r := Row{Score: -1, Exploitability: exploitability}
	switch source {
	case FromRow:
		r.SeverityWord = s.String()
	case FromRowScore:
		r.Score = scoreOf(s)
	}
	_, reason := j.Row(t, &r)
	return reason
}

// severityOf applies the precedence: the vulnerability's word, the row's word, the vulnerability's score, the row's
// score. A word outside the four is Microsoft's verdict all the same, and is not replaced by our arithmetic.
func severityOf(t Traits, r *Row) (Severity, SeveritySource) {
	if t.HasWord {
		return t.Word, FromVulnerable
	}
	if word := strings.TrimSpace(r.SeverityWord); word != "" {
		return ParseSeverity(word), FromRow
	}
	if t.Derived != SeverityUnknown {
		return t.Derived, FromScore
	}
	if s := SeverityOfScore(r.Score); s != SeverityUnknown {
		return s, FromRowScore
	}
	return SeverityUnknown, FromNothing
}

// vectorRefusals name the reasons for vectors that the settings do not select. For the unknown one the policy decides.
var vectorRefusals = [vectorCount]Reason{
	VectorNetwork: VectorNotSelected, VectorAdjacent: VectorNotSelected, VectorLocal: VectorIsLocal, VectorPhysical: VectorIsPhysical,
}

func (j *Judge) vectorReason(t Traits, r *Row, s Severity) Reason {
	if t.Vector != VectorUnknown {
		if j.vectors[t.Vector] {
			return Accepted
		}
		return vectorRefusals[t.Vector]
	}
	switch j.settings.UnknownVector {
	case UnknownInclude:
		return Accepted
	case UnknownIfSevere:
		if s >= SeverityHigh || t.Exploit || t.Partial && exploited(r.Exploitability) {
			return Accepted
		}
	}
	return VectorIsUnknown
}

// exploited reads a row's exploitability level; a word we do not know is no evidence.
func exploited(level string) bool {
	level = strings.TrimSpace(level)
	return strings.EqualFold(level, "ExploitIsPublic") || strings.EqualFold(level, "ExploitIsVerified") || strings.EqualFold(level, "ExploitIsInKit")
}
