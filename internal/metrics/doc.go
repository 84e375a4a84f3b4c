// Package metrics is what the service tells Prometheus.
//
// Every label has a closed set of values that is known at the start; whatever else arrives is counted as "other". So the
// number of series depends on the program alone, and not on tenants, traffic or what Microsoft sends.
package metrics

const namespace = "defender"

// other stands for a label value that is not in the closed set.
const other = "other"

// words is a closed set of label values.
type words map[string]bool

func wordsOf[T ~string](values ...T) words {
	set := words{other: true}
	for _, v := range values {
		set[string(v)] = true
	}
	return set
}

// of gives the value itself if the set has it.
func (w words) of(value string) string {
	if w[value] {
		return value
	}
	return other
}
