/// Why a file cannot be used, in a sentence for the person who brought it.
package struct GGUFError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The file.
  package var path: String
  package var reason: Reason

  /// What is wrong, and where.
  package enum Reason: Sendable, Hashable {
    /// The system refused to open or map it.
    case cannotOpen(String)
    case notGGUF
    case unsupportedVersion(UInt32)
    case bigEndian
    /// The file ends in the middle of something.
    case truncated(what: String, offset: Int)
    /// A field has a value that no valid file has.
    case malformed(what: String, offset: Int)
    /// Valid, but a type of element that Apus does not read.
    case unsupportedType(tensor: String, type: String)
    /// A metadata key that the model needs is absent.
    case missing(key: String)
    /// A metadata key holds something else than the model needs.
    case unexpected(key: String, wanted: String)
    /// A tensor that the model needs is absent.
    case missingTensor(String)
    /// One file of a split model is not beside the others.
    case missingShard(name: String, count: Int, why: String)
    /// A file of a split model without the name by which the others are found.
    case shardName(number: Int, count: Int)
    /// A file that has a name of this split model and belongs to another one.
    case foreignShard(of: String, because: String)
  }

  package init(path: String, reason: Reason) {
    self.path = path
    self.reason = reason
  }

  package var description: String { "\(path): \(reason.sentence)" }
}

extension GGUFError.Reason {
  var sentence: String {
    switch self {
    case .cannotOpen(let why):
      "the file cannot be opened: \(why)"
    case .notGGUF:
      "this is not a GGUF file; convert the model to GGUF first"
    case .unsupportedVersion(let version):
      "GGUF version \(version) is not supported, versions 2 and 3 are; convert the model again"
    case .bigEndian:
      "the file is big-endian; convert it to little-endian first"
    case .truncated(let what, let offset):
      "the file ends at byte \(offset), in the middle of \(what); it may not be fully downloaded"
    case .malformed(let what, let offset):
      "the file is damaged at byte \(offset): \(what)"
    case .unsupportedType(let tensor, let type):
      "tensor '\(tensor)' has element type \(type), which Apus does not read yet; "
        + "requantise the model to one of "
        + supportedTypeNames
    case .missing(let key):
      "the metadata key '\(key)' is missing, which this model needs"
    case .unexpected(let key, let wanted):
      "the metadata key '\(key)' is not \(wanted)"
    case .missingTensor(let name):
      "the tensor '\(name)' is missing, which this model needs"
    case .missingShard(let name, let count, let why):
      "the model is split into \(count) files, and '\(name)' cannot be opened: \(why); "
        + "put all of them into one folder"
    case .shardName(let number, let count):
      "this is file \(number) of a model split into \(count), but its name does not end in "
        + "'\(SplitName.suffix(number: number, count: count))'; give all of them their names back"
    case .foreignShard(let other, let because):
      "this file is not of the same model as '\(other)': \(because); "
        + "fetch all files of one model again"
    }
  }
}
