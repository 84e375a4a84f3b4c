package connector

import "slices"

// CountRun counts a run that somebody asks for as a live check of its directory, unless the credentials worked the last time: else
// anybody could have one refused secret signed in with as often as runs can be started. It refuses with the fault rate_limited. Undo
// is for when no run comes of it.
func (s *Service) CountRun(i *Integration) (undo func(), err error) {
	if i.provenLately() {
		return func() {}, nil
	}
	return s.trials.count(s.now(), i.Tenant, i.DirectoryID)
}

// endedWell are the states of runs that signed in and read.
var endedWell = []string{"succeeded", "partially_succeeded"}

// provenLately tells whether nothing speaks against the credentials in use: the last run has read something with them, or none has
// begun since they were checked. A dry run that failed leaves its mark on no state, and one that was cancelled may have been refused.
func (i *Integration) provenLately() bool {
	return i.State != StateActionRequired && (i.LastRunState == "" || slices.Contains(endedWell, i.LastRunState))
}
