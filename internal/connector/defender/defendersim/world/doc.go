// Package world generates what a simulated Microsoft tenant holds: one catalogue of vulnerabilities and,
// for each directory, machines and software-vulnerability rows, each labelled with the outcome a correct importer reaches.
//
// Everything follows from a seed and an index, so nothing but small override maps is held in memory however large
// a directory is, and two walks over the same state yield the same bytes. The labels are written down where a
// record is composed; no import rule is evaluated here, which is what makes them usable as an independent oracle.
package world
