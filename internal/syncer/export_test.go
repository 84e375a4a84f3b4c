package syncer

import "os"

// SpoolInto has runs keep their rows in files that open gives.
func (s *Syncer) SpoolInto(open func(dir string) (*os.File, error)) { s.spoolFile = open }
