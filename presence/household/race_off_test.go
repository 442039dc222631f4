//go:build !race

package household

// seeds is how many plays a test averages over.
const seeds = 6
