package inventory

import "strings"

const vectorCount = VectorPhysical + 1

var vectorNames = [vectorCount]string{
	VectorUnknown: "unknown", VectorNetwork: "network", VectorAdjacent: "adjacent", VectorLocal: "local", VectorPhysical: "physical",
}

// String is the name on the wire: network, adjacent, local, physical or unknown.
func (v AttackVector) String() string { return nameOf(vectorNames[:], int(v)) }

// ParseVector reads the attack vector of a CVSS vector of version 2, 3 or 4, with or without its prefix or brackets, in
// any case, and whether a user has to take part. Only the base metrics count: MAV and MUI describe somebody's
// environment. A metric that is absent, repeated or has a value outside the standard is unknown, or no interaction.
func ParseVector(vector string) (av AttackVector, userInteraction bool) {
	var avs, uis int
	for metric, value := range metrics(vector) {
		switch {
		case strings.EqualFold(metric, "AV"):
			avs++
			av = vectorOfLetter(value)
		case strings.EqualFold(metric, "UI"):
			uis++
			// R is required in version 3; P and A are passive and active in version 4.
			userInteraction = strings.EqualFold(value, "R") || strings.EqualFold(value, "P") || strings.EqualFold(value, "A")
		}
	}
	if avs != 1 {
		av = VectorUnknown
	}
	return av, userInteraction && uis == 1
}

func vectorOfLetter(value string) AttackVector {
	switch strings.ToUpper(value) {
	case "N":
		return VectorNetwork
	case "A":
		return VectorAdjacent
	case "L":
		return VectorLocal
	case "P":
		return VectorPhysical
	}
	return VectorUnknown
}

// metrics runs through the metrics of a CVSS vector in their order; the version prefix looks like one.
func metrics(vector string) func(yield func(metric, value string) bool) {
	return func(yield func(metric, value string) bool) {
		vector = strings.TrimSpace(vector)
		vector = strings.TrimSuffix(strings.TrimPrefix(vector, "("), ")")
		for token := range strings.SplitSeq(vector, "/") {
			metric, value, _ := strings.Cut(token, ":")
			if !yield(strings.TrimSpace(metric), strings.TrimSpace(value)) {
				return
			}
		}
	}
}
