/** What `cargo xtask test` sets, and whoever runs a test by hand. */
export function required(name) {
  const value = process.env[name];
  if (!value) throw new Error(`set ${name}, or run the tests with \`cargo xtask test\``);
  return value;
}
