package import Tensors

extension GGUFFile: WeightSource {
  package func lend(
    _ rows: Range<Int>, of weight: Weight, to body: (UnsafeRawBufferPointer) -> Void
  ) throws(WeightError) {
    let range = rows.lowerBound * weight.rowBytes..<rows.upperBound * weight.rowBytes
    let piece = UnsafeRawBufferPointer(rebasing: bytes(of: weight)[range])
    body(piece)
    for mapping in mappings { mapping.drop(piece) }
  }

  /// Asked before each use: to read a mapped file that has become shorter would end the process.
  package func complaint() -> String? {
    for mapping in mappings {
      if let complaint = mapping.file?.complaint() {
        return complaint + ", with --load copy where that goes on happening"
      }
    }
    return nil
  }

  /// A source of the same weights that maps nothing; of bytes that were given, itself.
  package func reader(of weights: [Weight]) -> any WeightSource {
    var places: [Weight: WeightReader.Place] = [:]
    for weight in weights {
      let piece = bytes(of: weight)
      for mapping in mappings {
        guard let offset = mapping.offset(of: piece) else { continue }
        guard let file = mapping.file else { return self }
        places[weight] = WeightReader.Place(file: file, offset: offset)
      }
    }
    return WeightReader(places)
  }
}

/// Reads weights from files that are not mapped: what happens to them after loading does not concern
/// the model, and network disks are read in large pieces.
final class WeightReader: WeightSource {
  struct Place: Sendable {
    var file: OpenFile
    var offset: Int
  }

  private let places: [Weight: Place]
  /// Each once.
  private let files: [OpenFile]

  init(_ places: [Weight: Place]) {
    self.places = places
    var files: [OpenFile] = []
    for place in places.values where !files.contains(where: { $0 === place.file }) {
      files.append(place.file)
    }
    self.files = files
  }

  func bytes(of weight: Weight) -> UnsafeRawBufferPointer {
    preconditionFailure("'\(weight.name)' is not mapped")
  }

  func lend(
    _ rows: Range<Int>, of weight: Weight, to body: (UnsafeRawBufferPointer) -> Void
  ) throws(WeightError) {
    guard let place = places[weight] else {
      preconditionFailure("'\(weight.name)' is not a weight of this file")
    }
    var complaint: String?
    // Memory for one part, and given back with it: the caller keeps parts small.
    withUnsafeTemporaryAllocation(
      byteCount: rows.count * weight.rowBytes, alignment: 64
    ) { buffer in
      complaint = place.file.read(
        into: buffer, from: place.offset + rows.lowerBound * weight.rowBytes)
      if complaint == nil { body(UnsafeRawBufferPointer(buffer)) }
    }
    if let complaint { throw WeightError(complaint) }
  }

  /// Asked once, when all is read: a file that was written to meanwhile gave parts of two models.
  func complaint() -> String? {
    files.lazy.compactMap { $0.complaint() }.first
  }
}
