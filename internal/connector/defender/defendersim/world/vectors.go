package world

// score is one CVSS base vector with the score its specification gives it and the outcome an importer with
// default settings reaches for a vulnerability that carries it.
type score struct {
	vector string // without the "CVSS:3.x/" prefix unless version 4; "" is Microsoft's way to say "not known yet"
	tenths int
	word   string
	weight int
	want   VulnerabilityOutcome
}

func network(sev string) VulnerabilityOutcome {
	return VulnerabilityOutcome{AttackVector: "network", Severity: sev}
}

func adjacent(sev string) VulnerabilityOutcome {
	return VulnerabilityOutcome{AttackVector: "adjacent", Severity: sev}
}

func unknownVector(sev string) VulnerabilityOutcome {
	return VulnerabilityOutcome{AttackVector: "unknown", Severity: sev}
}

func skippedVector(reason, sev string) VulnerabilityOutcome {
	return VulnerabilityOutcome{Skip: reason, Severity: sev}
}

// The weights give about the shares published vulnerabilities of endpoint software show: two thirds reachable over a
// network, a third local, one in fifty without a vector; one in ten critical.
var scores = []score{
	{"AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 98, "Critical", 70, network("critical")},
	{"AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 100, "Critical", 12, network("critical")},
	{"AV:N/AC:L/PR:N/UI:R/S:C/C:H/I:H/A:H", 96, "Critical", 18, network("critical")},
	{"AV:N/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H", 88, "High", 170, network("high")},
	{"AV:N/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H", 88, "High", 40, network("high")},
	{"AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:H/A:H", 81, "High", 30, network("high")},
	{"AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H", 75, "High", 55, network("high")},
	{"AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", 75, "High", 25, network("high")},
	{"AV:N/AC:L/PR:N/UI:R/S:U/C:H/I:N/A:N", 65, "Medium", 55, network("medium")},
	{"AV:N/AC:L/PR:L/UI:N/S:U/C:H/I:N/A:N", 65, "Medium", 25, network("medium")},
	{"AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 61, "Medium", 30, network("medium")},
	{"AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:N/A:N", 53, "Medium", 30, network("medium")},
	{"AV:N/AC:L/PR:N/UI:R/S:U/C:N/I:L/A:N", 43, "Medium", 40, network("medium")},
	{"AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:N/A:N", 31, "Low", 20, network("low")},
	{"AV:N/AC:L/PR:H/UI:N/S:U/C:L/I:N/A:N", 27, "Low", 10, network("low")},
	{"AV:A/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 88, "High", 12, adjacent("high")},
	{"AV:A/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H", 65, "Medium", 12, adjacent("medium")},
	{"AV:A/AC:H/PR:N/UI:N/S:U/C:L/I:N/A:N", 31, "Low", 4, adjacent("low")},
	{"AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H", 78, "High", 130, skippedVector("vector_local", "high")},
	{"AV:L/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H", 78, "High", 60, skippedVector("vector_local", "high")},
	{"AV:L/AC:H/PR:L/UI:N/S:U/C:H/I:H/A:H", 70, "High", 30, skippedVector("vector_local", "high")},
	{"AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:N/A:N", 55, "Medium", 50, skippedVector("vector_local", "medium")},
	{"AV:L/AC:L/PR:L/UI:N/S:U/C:L/I:N/A:N", 33, "Low", 10, skippedVector("vector_local", "low")},
	{"AV:P/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 68, "Medium", 5, skippedVector("vector_physical", "medium")},
	{"AV:P/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", 46, "Medium", 5, skippedVector("vector_physical", "medium")},
	{"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 93, "Critical", 10, network("critical")},
	{"CVSS:4.0/AV:N/AC:L/AT:N/PR:L/UI:N/VC:L/VI:L/VA:L/SC:N/SI:N/SA:N", 53, "Medium", 12, network("medium")},
	{"CVSS:4.0/AV:L/AC:L/AT:N/PR:L/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 85, "High", 8, skippedVector("vector_local", "high")},
	{"", 88, "High", 12, unknownVector("high")},
	{"", 50, "Medium", 10, skippedVector("vector_unknown", "medium")},
}

var scoreTable = weighted(scores)

// weighted expands the weights into a table so that a draw is one index operation.
func weighted(list []score) []uint8 {
	var table []uint8
	for i, s := range list {
		for range s.weight {
			table = append(table, uint8(i))
		}
	}
	return table
}
