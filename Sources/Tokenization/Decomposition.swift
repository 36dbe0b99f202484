@_spi(_Unicode) import Swift

/// Unicode's canonical decomposition (NFD). The standard library has the tables for comparing strings
/// and offers them under an underscored name only; Foundation, which wraps them, stays out of here.
enum Decomposition {
  /// The scalars with every composed character taken apart.
  static func canonical(_ scalars: [Unicode.Scalar]) -> [Unicode.Scalar] {
    Array(String(String.UnicodeScalarView(scalars))._nfd)
  }
}
