//go:build race

package connections

// raced: the race detector takes many times the time and memory.
const raced = true
