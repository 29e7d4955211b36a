// Moves packets from receivers through the assembler into chunks.
//
// A batch that needs a chunk which is not to be had waits in the assembler, and all readers of the stream with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "chunk_placement.hpp"
#include "chunk_window.hpp"
#include "readers.hpp"

namespace spead {

struct ChunkConfig {
    AssemblerConfig assembler;
    PlacementConfig placement;
    std::size_t max_chunks = 2;
    std::uint64_t stream_id = 0;
    bool explicit_start = false;
    bool end_with_any = false;
};

class ChunkRunner final : public Readers {
public:
    // Joins `window`.
    ChunkRunner(const ChunkConfig &config, std::shared_ptr<Placer> placer, const std::shared_ptr<ChunkWindow> &window, Log log);
    ~ChunkRunner() override;

    // End the stream and close its receivers; chunks that nobody else fills go to the user.
    void stop();
    std::pair<Statistics, ChunkStatistics> statistics();

private:
    class Member;

    ChunkRunner(const ChunkConfig &config, std::shared_ptr<Placer> placer, std::shared_ptr<Member> member, Log log);

    Wait step(Reader &reader) noexcept override;
    void take_heaps() override {}
    void ended_now() override;
    void resume();

    const std::shared_ptr<Member> member_;
    std::vector<std::shared_ptr<Reader>> paused_;
    std::uint64_t worker_blocked_ = 0;
};

}  // namespace spead
