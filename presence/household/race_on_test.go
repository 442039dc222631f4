//go:build race

package household

// seeds is how many homes a test looks at, and days how long each is played;
// the race detector makes a day take ten times as long.
const seeds, days = 1, 12
