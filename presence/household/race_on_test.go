//go:build race

package household

// seeds is how many plays a test averages over; the race detector makes each ten times slower.
const seeds = 2
